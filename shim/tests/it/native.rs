//! Pause containers, sidecars and everything else that `runc` runs.

use std::{io::Write, time::Duration};

use containerd_shim::{
    api::{CloseIORequest, ExecProcessRequest, PidsRequest, StartRequest, StateRequest, StatsRequest, Status, WaitRequest},
    protos::{api::DeleteRequest, protobuf::well_known_types::any::Any, ttrpc::Code},
};

use crate::{
    cgroups,
    node::{Node, call_context, refusal, until},
};

#[tokio::test]
async fn output_exit_code_and_events_come_in_order() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello", "world"], |_, _| {});
    let (_out, _err) = (bundle.hold("stdout"), bundle.hold("stderr"));
    let shim = node.start(&bundle).await;
    let created = shim.create(&bundle).await.unwrap();
    assert!(created.pid > 0);
    assert_eq!(shim.run("a").await, created.pid);
    assert_eq!(shim.wait("a").await.exit_status, 0);
    assert_eq!(bundle.expect("stdout", "\n").await, "hello world\n");
    assert_eq!(bundle.expect("stderr", "\n").await, "to stderr\n");
    // A second question is answered too.
    assert_eq!(shim.wait("a").await.exit_status, 0);
    assert_eq!(shim.delete("a").await.unwrap().exit_status, 0);
    shim.end().await;
    assert_eq!(node.events.topics(), ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
    assert_eq!(node.runc_state(), Vec::<String>::new());
}

#[tokio::test]
async fn the_shims_end_neither_loses_an_event_nor_tells_one_twice() {
    let node = Node::new().await;
    node.events.answer_after(Duration::from_millis(200));
    let bundle = node.bundle("a", &["/hello"], |_, _| {});
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    shim.run("a").await;
    shim.wait("a").await;
    shim.delete("a").await.unwrap();
    // containerd asks for the end at once, while the first of the events are still on their way.
    shim.end().await;
    assert_eq!(node.events.topics(), ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
}

#[tokio::test]
async fn a_process_that_ends_at_once_is_not_missed() {
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello", "sleep"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for number in 0..8u32 {
        let id = format!("c{number}");
        let bundle = node.bundle(&id, &["/hello", "exit", &number.to_string()], |_, _| {});
        shim.create(&bundle).await.unwrap();
        shim.run(&id).await;
        assert_eq!(shim.wait(&id).await.exit_status, number);
        assert_eq!(shim.delete(&id).await.unwrap().exit_status, number);
    }
    shim.end().await;
    for events in node.events.topics().chunks(4) {
        assert_eq!(events, ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
    }
}

#[tokio::test]
async fn one_shim_serves_all_containers_of_a_pod() {
    let node = Node::new().await;
    let in_pod = |config: &mut serde_json::Value, kind: &str| {
        config["annotations"]["io.kubernetes.cri.sandbox-id"] = "pod".into();
        config["annotations"]["io.kubernetes.cri.container-type"] = kind.into();
    };
    let sandbox = node.bundle("pod", &["/hello", "sleep"], |config, _| in_pod(config, "sandbox"));
    let sidecar = node.bundle("side", &["/hello", "sleep"], |config, _| in_pod(config, "container"));
    let shim = node.start(&sandbox).await;
    // An older containerd calls `start` for every container: it gets the same shim.
    assert_eq!(node.start(&sidecar).await.address, shim.address);
    for bundle in [&sandbox, &sidecar] {
        shim.create(bundle).await.unwrap();
        shim.run(&bundle.id).await;
    }
    let (code, _) = refusal(shim.create(&sidecar).await);
    assert_eq!(code, Code::ALREADY_EXISTS);
    let (code, message) = refusal(shim.delete("side").await);
    assert_eq!((code, message.as_str()), (Code::UNKNOWN, "cannot delete a running process"));
    shim.kill("side", 9).await.unwrap();
    assert_eq!(shim.wait("side").await.exit_status, 137);
    let (code, message) = refusal(shim.kill("side", 9).await);
    assert_eq!((code, message.as_str()), (Code::NOT_FOUND, "process already finished"));
    shim.delete("side").await.unwrap();
    // The pause container is still there, so the shim is.
    shim.shutdown().await;
    let state = shim.client.state(call_context(), &StateRequest { id: "pod".into(), ..StateRequest::new() }).await.unwrap();
    assert_eq!(state.status.unwrap(), Status::RUNNING);
    shim.kill("pod", 9).await.unwrap();
    shim.wait("pod").await;
    shim.delete("pod").await.unwrap();
    shim.end().await;
}

#[tokio::test]
async fn a_container_that_never_ran_can_be_deleted() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello"], |_, _| {});
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    assert_eq!(shim.delete("a").await.unwrap().exit_status, 137);
    assert_eq!(node.runc_state(), Vec::<String>::new());
    shim.end().await;
}

#[tokio::test]
async fn a_program_that_is_missing_fails_create_with_its_name() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/nothing"], |_, _| {});
    let shim = node.start(&bundle).await;
    let (_, message) = refusal(shim.create(&bundle).await);
    assert!(message.contains("/nothing"), "{message}");
    assert_eq!(node.runc_state(), Vec::<String>::new());
    let (code, _) = refusal(shim.delete("a").await);
    assert_eq!(code, Code::NOT_FOUND);
    shim.end().await;
}

#[tokio::test]
async fn a_process_can_be_executed_and_ends_by_itself() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello", "sleep"], |_, _| {});
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    shim.run("a").await;
    let spec = r#"{"user":{"uid":0,"gid":0},"args":["/hello","cat"],"env":["PATH=/"],"cwd":"/"}"#;
    let request = ExecProcessRequest {
        id: "a".into(),
        exec_id: "e".into(),
        stdin: bundle.stream("stdin"),
        stdout: bundle.stream("stdout"),
        spec: Some(Any { value: spec.into(), ..Any::new() }).into(),
        ..ExecProcessRequest::new()
    };
    let _out = bundle.hold("stdout");
    shim.client.exec(call_context(), &request).await.unwrap();
    let (id, exec_id) = ("a".to_owned(), "e".to_owned());
    let start = StartRequest { id: id.clone(), exec_id: exec_id.clone(), ..StartRequest::new() };
    shim.client.start(call_context(), &start).await.unwrap();
    std::fs::OpenOptions::new().write(true).open(bundle.stream("stdin")).unwrap().write_all(b"typed\n").unwrap();
    bundle.expect("stdout", "typed\n").await;
    let close = CloseIORequest { id: id.clone(), exec_id: exec_id.clone(), stdin: true, ..CloseIORequest::new() };
    shim.client.close_io(call_context(), &close).await.unwrap();
    let wait = WaitRequest { id: id.clone(), exec_id: exec_id.clone(), ..WaitRequest::new() };
    assert_eq!(shim.client.wait(call_context(), &wait).await.unwrap().exit_status, 0);
    let delete = DeleteRequest { id, exec_id, ..DeleteRequest::new() };
    shim.client.delete(call_context(), &delete).await.unwrap();
    until("the exit is told", || node.events.topics().len() >= 5).await;
    assert_eq!(node.events.topics()[2..], ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"]);
    shim.kill("a", 9).await.unwrap();
    shim.wait("a").await;
    shim.delete("a").await.unwrap();
    shim.end().await;
}

#[tokio::test]
async fn metrics_have_the_hosts_form_and_outlive_the_process() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello", "sleep"], |_, _| {});
    let shim = node.start(&bundle).await;
    let pid = shim.create(&bundle).await.unwrap().pid;
    shim.run("a").await;
    let pids = shim.client.pids(call_context(), &PidsRequest { id: "a".into(), ..PidsRequest::new() }).await.unwrap();
    assert_eq!(pids.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid]);
    let form = cgroups::metrics_type();
    let request = StatsRequest { id: "a".into(), ..StatsRequest::new() };
    assert_eq!(shim.client.stats(call_context(), &request).await.unwrap().stats.type_url, form);
    shim.kill("a", 9).await.unwrap();
    shim.wait("a").await;
    assert_eq!(shim.client.stats(call_context(), &request).await.unwrap().stats.type_url, form);
    shim.delete("a").await.unwrap();
    shim.end().await;
}
