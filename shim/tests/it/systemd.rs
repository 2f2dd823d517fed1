//! Containers whose cgroups are scopes of systemd, as on most nodes: the runtime option `SystemdCgroup`. Only where systemd is
//! the init; `make test-vm` has such a machine.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::Command,
};

use containerd_shim::{
    api::{PidsRequest, StateRequest, StatsRequest, Status},
    protos::events::task::TaskOOM,
};
use serde_json::{Value, json};

use crate::{
    cgroups::{self, memory_limit},
    node::{Bundle, Node, Shim, call_context, until},
};

const MIB: u64 = 1 << 20;
/// Without a dash, which would make it a part of another.
const SLICE: &str = "perigeeit.slice";

/// Whether systemd can be asked for scopes here. A test that is skipped says so, past the harness, which shows nothing of a test
/// that passes.
fn has_systemd(test: &str) -> bool {
    let has = Path::new("/run/systemd/system").exists();
    if !has {
        let reason = "systemd is not the init of this machine (make test-vm runs it on one where it is)";
        io::stderr().write_all(format!("SKIPPED: {test}: {reason}\n").as_bytes()).unwrap();
    }
    has
}

fn scope(config: &mut Value, node: &Node, id: &str, mebibytes: u64) {
    let node = node.path().file_name().unwrap().display();
    config["linux"]["cgroupsPath"] = format!("{SLICE}:perigee:{node}-{id}").into();
    config["linux"]["resources"] = json!({ "memory": { "limit": mebibytes * MIB }, "pids": { "limit": 50 } });
}

async fn create(shim: &Shim, bundle: &Bundle) -> u32 {
    let mut request = shim.request(bundle);
    request.options = Some(shim.options("SystemdCgroup = true\n")).into();
    shim.client.create(call_context(), &request).await.unwrap().pid
}

/// What systemd knows of the container's scope.
fn is_active(bundle: &Bundle) -> bool {
    let folder = cgroups::folder(bundle, "systemd");
    Command::new("systemctl").args(["is-active", "--quiet"]).arg(folder.file_name().unwrap()).status().unwrap().success()
}

/// All that is asked of a container, until it is gone.
async fn every_call(node: &Node, shim: &Shim, bundle: &Bundle, pid: u32) {
    let id = bundle.id.as_str();
    let scope = cgroups::folder(bundle, "systemd");
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(own.contains(scope.file_name().unwrap().to_str().unwrap()) && is_active(bundle), "{own}");
    let pids = shim.client.pids(call_context(), &PidsRequest { id: id.into(), ..PidsRequest::new() }).await.unwrap();
    assert_eq!(pids.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid]);
    let stats = shim.client.stats(call_context(), &StatsRequest { id: id.into(), ..StatsRequest::new() }).await.unwrap().stats;
    assert_eq!(stats.type_url, cgroups::metrics_type());
    assert_eq!(memory_limit(bundle), 64 * MIB);
    shim.update(id, &json!({ "memory": { "limit": 96 * MIB } })).await.unwrap();
    assert_eq!(memory_limit(bundle), 96 * MIB);
    let status = async || {
        let request = StateRequest { id: id.into(), ..StateRequest::new() };
        shim.client.state(call_context(), &request).await.unwrap().status.unwrap()
    };
    shim.pause(id).await.unwrap();
    assert_eq!(status().await, Status::PAUSED);
    shim.resume(id).await.unwrap();
    assert_eq!(status().await, Status::RUNNING);
    shim.kill(id, 9).await.unwrap();
    assert_eq!(shim.wait(id).await.exit_status, 137);
    shim.delete(id).await.unwrap();
    // Systemd takes notice of its end by itself.
    until("the scope is gone", || !is_active(bundle)).await;
    assert_eq!(cgroups::existing(bundle), Vec::<std::path::PathBuf>::new());
    assert_eq!(node.runc_state().iter().filter(|known| *known == id).count(), 0);
}

#[tokio::test]
async fn a_native_container_in_a_scope_takes_every_call() {
    if !has_systemd("a_native_container_in_a_scope_takes_every_call") {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("native", &["/hello", "sleep"], |config, _| scope(config, &node, "native", 64));
    let shim = node.start(&bundle).await;
    let pid = create(&shim, &bundle).await;
    shim.run("native").await;
    every_call(&node, &shim, &bundle, pid).await;
    shim.end().await;
}

#[tokio::test]
async fn a_wasm_container_in_a_scope_takes_every_call_and_its_pod_pays_for_the_compiling() {
    if !has_systemd("a_wasm_container_in_a_scope_takes_every_call_and_its_pod_pays_for_the_compiling") {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("wasm", &["/app.wasm"], |config, rootfs| {
        scope(config, &node, "wasm", 64);
        config["process"]["env"] = json!(["STAY=1"]);
        fs::write(rootfs.join("app.wasm"), b"\0asm\x01\0\0\0").unwrap();
    });
    let _out = bundle.hold("stdout");
    let shim = node.start(&bundle).await;
    let pid = create(&shim, &bundle).await;
    shim.run("wasm").await;
    bundle.expect("stdout", "written").await;
    assert!(node.compiled().contains(&format!("/{SLICE}/perigee-compile-wasm\n")), "{}", node.compiled());
    every_call(&node, &shim, &bundle, pid).await;
    shim.end().await;
}

#[tokio::test]
async fn that_the_memory_of_a_scope_runs_out_is_told() {
    if !has_systemd("that_the_memory_of_a_scope_runs_out_is_told") {
        return;
    }
    let node = Node::new().await;
    let bundle = node.bundle("oom", &["/hello", "eat", "200"], |config, _| scope(config, &node, "oom", 32));
    let shim = node.start(&bundle).await;
    create(&shim, &bundle).await;
    shim.run("oom").await;
    assert_eq!(shim.wait("oom").await.exit_status, 137);
    shim.delete("oom").await.unwrap();
    shim.end().await;
    assert_eq!(node.events.of::<TaskOOM>("/tasks/oom").len(), 1);
    assert_eq!(cgroups::existing(&bundle), Vec::<std::path::PathBuf>::new());
}
