//! `exec` in a Wasm container: no process, but an answer of the worker on its control socket.

use std::{fs, io::Write, path::Path};

use containerd_shim::{
    api::{ResizePtyRequest, StateRequest, Status},
    protos::{events::task::TaskExit, ttrpc::Code},
};
use serde_json::{Value, json};

use crate::node::{Bundle, Node, Shim, call_context, exec_stream, refusal};

const WASM: &[u8] = b"\0asm\x01\0\0\0";

fn wasm(config: &mut Value, rootfs: &Path) {
    fs::write(rootfs.join("app.wasm"), WASM).unwrap();
    config["process"]["args"] = json!(["/app.wasm"]);
    config["process"]["env"] = json!(["STAY=1"]);
}

/// A running Wasm container, made by the own launcher or (with an option that it does not know) by runc.
async fn running(node: &Node, id: &str, by_runc: bool) -> (Bundle, Shim) {
    let bundle = node.bundle(id, &[], wasm);
    let _out = bundle.hold("stdout");
    let shim = node.start(&bundle).await;
    let mut request = shim.request(&bundle);
    if by_runc {
        request.options = Some(shim.options("NoNewKeyring = true\n")).into();
    }
    shim.client.create(call_context(), &request).await.unwrap();
    assert_eq!(bundle.path.join("perigee-launcher").exists(), !by_runc);
    shim.run(id).await;
    bundle.expect("stdout", "written").await;
    (bundle, shim)
}

#[tokio::test]
async fn it_is_answered_by_the_worker_whoever_made_the_container() {
    for (id, by_runc) in [("exec-launched", false), ("exec-runc", true)] {
        let node = Node::new().await;
        let (bundle, shim) = running(&node, id, by_runc).await;
        shim.exec(&bundle, "e", &["ps", "-o", "json"], false).await.unwrap();
        let _err = bundle.hold(&exec_stream("e", "stderr"));
        let _out = bundle.hold(&exec_stream("e", "stdout"));
        let pid = shim.start_exec(id, "e").await.unwrap();
        assert_eq!(shim.wait_exec(id, "e").await, 0);
        let said = bundle.expect(&exec_stream("e", "stdout"), "\n").await;
        assert_eq!(said, "asked {\"version\":1,\"run\":{\"args\":[\"ps\",\"-o\",\"json\"],\"terminal\":null}}\n");
        assert_eq!(shim.delete_exec(id, "e").await.unwrap().pid, pid);
        // Its error output is apart, and its code its own.
        shim.exec(&bundle, "f", &["fail"], false).await.unwrap();
        let _err = bundle.hold(&exec_stream("f", "stderr"));
        shim.start_exec(id, "f").await.unwrap();
        assert_eq!(shim.wait_exec(id, "f").await, 7);
        assert_eq!(bundle.expect(&exec_stream("f", "stderr"), "\n").await, "it failed\n");
        shim.delete_exec(id, "f").await.unwrap();
        shim.end_with(id).await;
        let exits: Vec<_> =
            node.events.of::<TaskExit>("/tasks/exit").into_iter().map(|exit| (exit.id, exit.exit_status)).collect();
        assert_eq!(exits, [("e".to_owned(), 0), ("f".to_owned(), 7), (id.to_owned(), 137)]);
        let topics = node.events.topics();
        assert_eq!(topics[2..5], ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"], "{topics:?}");
        assert!(!bundle.path.join("control").exists());
    }
}

#[tokio::test]
async fn a_terminal_is_resized_and_its_keys_and_signals_end_it() {
    let node = Node::new().await;
    let id = "exec-terminal";
    let (bundle, shim) = running(&node, id, false).await;
    for (exec, keys, signal, status) in [("q", "xq", 0, 0), ("c", "\u{3}", 0, 130), ("t", "", 15, 143), ("k", "", 9, 137)] {
        shim.exec(&bundle, exec, &["talk"], true).await.unwrap();
        let out = exec_stream(exec, "stdout");
        let _out = bundle.hold(&out);
        shim.start_exec(id, exec).await.unwrap();
        let asked = bundle.expect(&out, "\n").await;
        assert!(asked.contains("\"terminal\":{\"columns\":80,\"rows\":24}"), "{asked}");
        let resize = ResizePtyRequest { id: id.into(), exec_id: exec.into(), width: 100, height: 40, ..ResizePtyRequest::new() };
        shim.client.resize_pty(call_context(), &resize).await.unwrap();
        assert_eq!(bundle.expect(&out, "\n").await, "told {\"columns\":100,\"rows\":40}\n");
        if signal == 0 {
            bundle.hold(&exec_stream(exec, "stdin")).write_all(keys.as_bytes()).unwrap();
        } else {
            // What ends no process ends no session.
            shim.kill_exec(id, exec, 17).await.unwrap();
            shim.kill_exec(id, exec, signal).await.unwrap();
        }
        assert_eq!(shim.wait_exec(id, exec).await, status, "{exec}");
        assert_eq!(refusal(shim.kill_exec(id, exec, 9).await).0, Code::NOT_FOUND);
        shim.delete_exec(id, exec).await.unwrap();
    }
    // The worker has heard of none of it.
    assert_eq!(shim.run_exec(&bundle, "after", &["ps"]).await, 0);
    shim.end_with(id).await;
}

#[tokio::test]
async fn a_worker_that_answers_badly_harms_nobody_and_one_that_ends_ends_its_execs_first() {
    let node = Node::new().await;
    let id = "exec-hostile";
    let (bundle, shim) = running(&node, id, false).await;
    for (exec, expected) in [("nonsense", "cannot be asked: "), ("endless", "a line without an end")] {
        shim.exec(&bundle, exec, &[exec], false).await.unwrap();
        let err = exec_stream(exec, "stderr");
        let _err = bundle.hold(&err);
        shim.start_exec(id, exec).await.unwrap();
        assert_eq!(shim.wait_exec(id, exec).await, 126);
        assert!(bundle.expect(&err, "\n").await.contains(expected));
        shim.delete_exec(id, exec).await.unwrap();
    }
    for (exec, args) in [("hangs", "hang"), ("dies", "die")] {
        shim.exec(&bundle, exec, &[args], false).await.unwrap();
        shim.start_exec(id, exec).await.unwrap();
    }
    assert_eq!(shim.wait(id).await.exit_status, 3);
    for exec in ["hangs", "dies"] {
        assert_eq!(shim.wait_exec(id, exec).await, 137);
    }
    let (code, message) = refusal(shim.exec(&bundle, "late", &["ps"], false).await);
    assert_eq!((code, message.as_str()), (Code::UNKNOWN, "cannot exec in a stopped process"));
    shim.delete(id).await.unwrap();
    shim.end().await;
    let exits: Vec<_> = node.events.of::<TaskExit>("/tasks/exit").into_iter().map(|exit| exit.id).collect();
    assert_eq!(exits.last().unwrap(), id, "the container's end is told last: {exits:?}");
    assert_eq!(exits.len(), 5);
}

#[tokio::test]
async fn an_exec_that_the_worker_has_not_taken_ends_with_the_container() {
    let node = Node::new().await;
    let id = "exec-untaken";
    let (bundle, shim) = running(&node, id, false).await;
    let stop = 19;
    shim.kill(id, stop).await.unwrap();
    shim.exec(&bundle, "e", &["ps"], false).await.unwrap();
    shim.start_exec(id, "e").await.unwrap();
    shim.kill(id, 9).await.unwrap();
    assert_eq!(shim.wait(id).await.exit_status, 137);
    assert_eq!(shim.wait_exec(id, "e").await, 137);
    shim.delete(id).await.unwrap();
    shim.end().await;
}

#[tokio::test]
async fn in_a_frozen_container_it_is_refused_and_a_running_one_shows_as_frozen() {
    let node = Node::new().await;
    let id = "exec-frozen";
    let (bundle, shim) = running(&node, id, false).await;
    shim.exec(&bundle, "e", &["talk"], false).await.unwrap();
    shim.start_exec(id, "e").await.unwrap();
    shim.pause(id).await.unwrap();
    let request = StateRequest { id: id.into(), exec_id: "e".into(), ..StateRequest::new() };
    assert_eq!(shim.client.state(call_context(), &request).await.unwrap().status.unwrap(), Status::PAUSED);
    let (code, message) = refusal(shim.exec(&bundle, "f", &["ps"], false).await);
    assert_eq!((code, message.as_str()), (Code::UNKNOWN, "cannot exec in a paused process"));
    shim.resume(id).await.unwrap();
    assert_eq!(shim.client.state(call_context(), &request).await.unwrap().status.unwrap(), Status::RUNNING);
    shim.end_with(id).await;
}
