//! Every call in every state, against one table: what containerd's own shim (`containerd-shim-runc-v2` of containerd 2.4)
//! answers to it. Containers made by runc and by the own launcher, native and Wasm, answer alike.
//!
//! Where Perigee differs from that shim: a second Create of an id is told from other failures, and a checkpoint is not
//! implemented.

use std::{fs, path::Path, time::Duration};

use containerd_shim::{
    api::{
        CloseIORequest, ConnectRequest, PidsRequest, ResizePtyRequest, ShutdownRequest, StartRequest, StateRequest, StatsRequest,
        Status, WaitRequest,
    },
    protos::{
        api::CheckpointTaskRequest,
        ttrpc::{self, Code},
    },
};
use serde_json::{Value, json};

use crate::node::{Bundle, Node, Shim, call_context};

/// A container's states, and those of a process executed in one (which is never frozen alone).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Created,
    Running,
    Paused,
    Stopped,
    Deleted,
}
use State::{Absent, Created, Deleted, Paused, Running, Stopped};

/// What a call does in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It succeeds, and all stays as it is.
    Same,
    /// It succeeds, and this is the state from then on.
    Goes(State),
    /// It does not return while the state is what it is.
    Waits,
    Fails(Code),
}
use Then::{Fails, Goes, Same, Waits};

const GONE: Then = Fails(Code::NOT_FOUND);
/// containerd's shim has no code for it.
const WRONG: Then = Fails(Code::UNKNOWN);
const EXISTS: Then = Fails(Code::ALREADY_EXISTS);
const EARLY: Then = Fails(Code::FAILED_PRECONDITION);
const NEVER: Then = Fails(Code::UNIMPLEMENTED);

const STATES: [State; 6] = [Absent, Created, Running, Paused, Stopped, Deleted];

#[rustfmt::skip]
const TABLE: [(&str, [Then; 6]); 17] = [
    //              absent  created         running         paused          stopped         deleted
    ("create",     [Goes(Created), EXISTS,  EXISTS,         EXISTS,         EXISTS,         Goes(Created)]),
    ("start",      [GONE,   Goes(Running),  WRONG,          WRONG,          WRONG,          GONE]),
    ("state",      [GONE,   Same,           Same,           Same,           Same,           GONE]),
    ("wait",       [GONE,   Waits,          Waits,          Waits,          Same,           GONE]),
    ("kill",       [GONE,   Goes(Stopped),  Goes(Stopped),  Goes(Stopped),  GONE,           GONE]),
    ("kill all",   [GONE,   Goes(Stopped),  Goes(Stopped),  Goes(Stopped),  GONE,           GONE]),
    ("delete",     [GONE,   Goes(Deleted),  WRONG,          WRONG,          Goes(Deleted),  GONE]),
    ("pids",       [GONE,   Same,           Same,           Same,           Same,           GONE]),
    ("connect",    [Same,   Same,           Same,           Same,           Same,           Same]),
    ("stats",      [GONE,   Same,           Same,           Same,           Same,           GONE]),
    ("update",     [GONE,   Same,           Same,           Same,           WRONG,          GONE]),
    ("pause",      [GONE,   WRONG,          Goes(Paused),   WRONG,          WRONG,          GONE]),
    ("resume",     [GONE,   WRONG,          WRONG,          Goes(Running),  WRONG,          GONE]),
    ("exec",       [GONE,   Same,           Same,           WRONG,          WRONG,          GONE]),
    ("resize",     [GONE,   Same,           Same,           Same,           Same,           GONE]),
    ("close",      [GONE,   Same,           Same,           Same,           Same,           GONE]),
    ("checkpoint", [GONE,   NEVER,          NEVER,          NEVER,          NEVER,          GONE]),
];

const EXEC_STATES: [State; 5] = [Absent, Created, Running, Stopped, Deleted];

#[rustfmt::skip]
const EXEC_TABLE: [(&str, [Then; 5]); 8] = [
    //              absent          created         running         stopped         deleted
    ("exec",       [Goes(Created),  EXISTS,         EXISTS,         EXISTS,         Goes(Created)]),
    ("start",      [GONE,           Goes(Running),  WRONG,          WRONG,          GONE]),
    ("state",      [GONE,           Same,           Same,           Same,           GONE]),
    ("wait",       [GONE,           Waits,          Waits,          Same,           GONE]),
    ("kill",       [GONE,           EARLY,          Goes(Stopped),  GONE,           GONE]),
    ("delete",     [GONE,           Goes(Deleted),  WRONG,          Goes(Deleted),  GONE]),
    ("resize",     [GONE,           Same,           Same,           WRONG,          GONE]),
    ("close",      [GONE,           Same,           Same,           Same,           GONE]),
];

/// Who makes the container, and what runs in it.
#[derive(Clone, Copy, Debug)]
enum Made {
    Native,
    WasmByLauncher,
    WasmByRunc,
}

/// A container or process that is called, and how.
struct Called<'a> {
    shim: &'a Shim,
    bundle: &'a Bundle,
    made: Made,
    /// What containerd writes: a bundle is used once, and the shim changes what is in it.
    config: &'a str,
    /// Empty for the container itself.
    exec: &'a str,
}

fn bundle(node: &Node, made: Made, id: &str) -> Bundle {
    node.bundle(id, &["/hello", "sleep"], |config: &mut Value, rootfs: &Path| {
        if !matches!(made, Made::Native) {
            fs::write(rootfs.join("app.wasm"), b"\0asm\x01\0\0\0").unwrap();
            config["process"]["args"] = json!(["/app.wasm"]);
            config["process"]["env"] = json!(["STAY=1"]);
        }
    })
}

fn config(bundle: &Bundle) -> String {
    fs::read_to_string(bundle.path.join("config.json")).unwrap()
}

impl Called<'_> {
    async fn call(&self, call: &str) -> ttrpc::Result<()> {
        let (client, context) = (&self.shim.client, call_context());
        let (id, exec_id) = (self.bundle.id.clone(), self.exec.to_owned());
        match call {
            "create" => {
                fs::write(self.bundle.path.join("config.json"), self.config).unwrap();
                let mut request = self.shim.request(self.bundle);
                if matches!(self.made, Made::WasmByRunc) {
                    request.options = Some(self.shim.options("NoNewKeyring = true\n")).into();
                }
                client.create(context, &request).await.map(drop)
            }
            "start" => client.start(context, &StartRequest { id, exec_id, ..StartRequest::new() }).await.map(drop),
            "state" => client.state(context, &StateRequest { id, exec_id, ..StateRequest::new() }).await.map(drop),
            "wait" => client.wait(context, &WaitRequest { id, exec_id, ..WaitRequest::new() }).await.map(drop),
            "kill" | "kill all" => {
                let all = call == "kill all";
                let request = containerd_shim::api::KillRequest { id, exec_id, signal: 9, all, ..Default::default() };
                client.kill(context, &request).await?;
                // Until it is noticed.
                let wait = WaitRequest { id: self.bundle.id.clone(), exec_id: self.exec.to_owned(), ..WaitRequest::new() };
                client.wait(call_context(), &wait).await.map(drop)
            }
            "delete" if self.exec.is_empty() => self.shim.delete(&id).await.map(drop),
            "delete" => self.shim.delete_exec(&id, self.exec).await.map(drop),
            "pids" => client.pids(context, &PidsRequest { id, ..PidsRequest::new() }).await.map(drop),
            "connect" => client.connect(context, &ConnectRequest { id, ..ConnectRequest::new() }).await.map(drop),
            "stats" => client.stats(context, &StatsRequest { id, ..StatsRequest::new() }).await.map(drop),
            "update" => self.shim.update(&id, &json!({ "cpu": { "shares": 512 } })).await.map(drop),
            "pause" => self.shim.pause(&id).await.map(drop),
            "resume" => self.shim.resume(&id).await.map(drop),
            "exec" if self.exec.is_empty() => {
                self.shim.exec(self.bundle, "other", &["/hello", "sleep"], false).await?;
                self.shim.delete_exec(&id, "other").await.map(drop)
            }
            // A stand-in worker takes it for a conversation.
            "exec" => self.shim.exec(self.bundle, self.exec, &["/hello", "sleep", "talk"], false).await.map(drop),
            "resize" => {
                let request = ResizePtyRequest { id, exec_id, width: 80, height: 24, ..ResizePtyRequest::new() };
                client.resize_pty(context, &request).await.map(drop)
            }
            "close" => {
                client.close_io(context, &CloseIORequest { id, exec_id, stdin: true, ..CloseIORequest::new() }).await.map(drop)
            }
            "checkpoint" => {
                client.checkpoint(context, &CheckpointTaskRequest { id, ..CheckpointTaskRequest::new() }).await.map(drop)
            }
            other => panic!("no call {other}"),
        }
    }

    /// What the shim says of it.
    async fn state(&self) -> Option<Status> {
        let request = StateRequest { id: self.bundle.id.clone(), exec_id: self.exec.to_owned(), ..StateRequest::new() };
        self.shim.client.state(call_context(), &request).await.ok().map(|state| state.status.unwrap())
    }

    async fn bring_to(&self, state: State) {
        let first = if self.exec.is_empty() { "create" } else { "exec" };
        let calls: &[&str] = match state {
            Absent => &[],
            Created => &[first],
            Running => &[first, "start"],
            Paused => &[first, "start", "pause"],
            Stopped => &[first, "start", "kill"],
            Deleted => &[first, "delete"],
        };
        for call in calls {
            self.call(call).await.unwrap_or_else(|error| panic!("{call} on the way to {state:?}: {error}"));
        }
    }

    /// Makes the call, and holds what comes of it against the table.
    async fn expect(&self, call: &str, state: State, then: Then) {
        let what = format!("{call} of what is {state:?} ({:?}, exec {:?})", self.made, self.exec);
        if then == Waits {
            let waiting = tokio::time::timeout(Duration::from_millis(100), self.call(call)).await;
            assert!(waiting.is_err(), "{what}: {waiting:?}");
        } else {
            let result = self.call(call).await;
            match (&result, then) {
                (Ok(()), Same | Goes(_)) => {}
                (Err(ttrpc::Error::RpcStatus(status)), Fails(code)) if status.code() == code => {}
                _ => panic!("{what} should be {then:?}: {result:?}"),
            }
        }
        let after = match then {
            Goes(after) => after,
            Same | Waits | Fails(_) => state,
        };
        let status = match after {
            Absent | Deleted => None,
            Created => Some(Status::CREATED),
            Running => Some(Status::RUNNING),
            Paused => Some(Status::PAUSED),
            Stopped => Some(Status::STOPPED),
        };
        assert_eq!(self.state().await, status, "{what}");
    }

    async fn clean_up(&self) {
        drop(self.call("kill").await);
        drop(self.call("delete").await);
    }
}

/// All calls that leave a state as it is are made in one container; each of the others gets its own.
async fn hold_to_the_table(made: Made, prefix: &str) {
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello", "sleep"], |_, _| {});
    let shim = node.start(&sandbox).await;
    shim.create(&sandbox).await.unwrap();
    shim.run("pod").await;
    for (column, state) in STATES.into_iter().enumerate() {
        let bundle = bundle(&node, made, &format!("{prefix}-{column}"));
        let _streams = [bundle.hold("stdout"), bundle.hold("stderr")];
        let config = self::config(&bundle);
        let called = Called { shim: &shim, bundle: &bundle, made, config: &config, exec: "" };
        called.bring_to(state).await;
        for (call, thens) in TABLE {
            if !matches!(thens[column], Goes(_)) {
                called.expect(call, state, thens[column]).await;
            }
        }
        // With containers there, it is no end.
        shim.client.shutdown(call_context(), &ShutdownRequest::new()).await.unwrap();
        called.clean_up().await;
        for (row, (call, thens)) in TABLE.into_iter().enumerate() {
            if matches!(thens[column], Goes(_)) {
                let bundle = self::bundle(&node, made, &format!("{prefix}-{column}-{row}"));
                let _streams = [bundle.hold("stdout"), bundle.hold("stderr")];
                let config = self::config(&bundle);
                let called = Called { shim: &shim, bundle: &bundle, made, config: &config, exec: "" };
                called.bring_to(state).await;
                called.expect(call, state, thens[column]).await;
                called.clean_up().await;
            }
        }
    }
    let bundle = bundle(&node, made, &format!("{prefix}-execs"));
    let _streams = [bundle.hold("stdout"), bundle.hold("stderr")];
    let config = self::config(&bundle);
    let container = Called { shim: &shim, bundle: &bundle, made, config: &config, exec: "" };
    container.bring_to(Running).await;
    for (column, state) in EXEC_STATES.into_iter().enumerate() {
        let (same, changes): (Vec<_>, Vec<_>) = EXEC_TABLE.into_iter().partition(|(_, thens)| !matches!(thens[column], Goes(_)));
        let exec = format!("e{column}");
        let called = Called { exec: &exec, ..container };
        called.bring_to(state).await;
        for (call, thens) in same {
            called.expect(call, state, thens[column]).await;
        }
        called.clean_up().await;
        for (row, (call, thens)) in changes.into_iter().enumerate() {
            let exec = format!("e{column}-{row}");
            let called = Called { exec: &exec, ..container };
            called.bring_to(state).await;
            called.expect(call, state, thens[column]).await;
            called.clean_up().await;
        }
    }
    container.clean_up().await;
    let sandbox = Called { shim: &shim, bundle: &sandbox, made: Made::Native, config: "", exec: "" };
    sandbox.clean_up().await;
    shim.end().await;
}

#[tokio::test]
async fn a_native_container_answers_every_call_in_every_state_as_containerds_own_shim_does() {
    hold_to_the_table(Made::Native, "calls-native").await;
}

#[tokio::test]
async fn so_does_a_wasm_container_that_the_launcher_made() {
    hold_to_the_table(Made::WasmByLauncher, "calls-launched").await;
}

#[tokio::test]
async fn so_does_a_wasm_container_that_runc_made() {
    hold_to_the_table(Made::WasmByRunc, "calls-runc").await;
}
