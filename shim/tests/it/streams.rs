//! Logs that nobody reads, readers that go, and processes that do not want to end.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Instant,
};

use containerd_shim::api::{StateRequest, Status};
use serde_json::json;

use crate::node::{Bundle, Node, Shim, call_context, exec_stream, refusal, until};

/// What containerd gives the shim for the removal of a container.
const DELETE_SECONDS: u64 = 5;

async fn is_running(shim: &Shim, id: &str) -> bool {
    let request = StateRequest { id: id.into(), ..StateRequest::new() };
    shim.client.state(call_context(), &request).await.unwrap().status.unwrap() == Status::RUNNING
}

/// Whether the process waits in a write: all that its stream holds is full.
fn is_stuck(pid: u32) -> bool {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    // It sleeps: on a slow machine it may be seen in the middle of a write that fills nothing. Then the number of `write`.
    let sleeps = read("stat").rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'));
    sleeps && read("syscall").starts_with("1 ")
}

async fn kill_and_delete(shim: &Shim, bundle: &Bundle) {
    let since = Instant::now();
    shim.kill(&bundle.id, 9).await.unwrap();
    assert_eq!(shim.wait(&bundle.id).await.exit_status, 137);
    shim.delete(&bundle.id).await.unwrap();
    assert!(since.elapsed().as_secs() < DELETE_SECONDS, "{:?}", since.elapsed());
}

#[tokio::test]
async fn output_that_nobody_reads_holds_up_its_writer_and_nobody_else() {
    let node = Node::new().await;
    let flood = node.bundle("flood", &["/hello", "flood"], |_, _| {});
    let shim = node.start(&flood).await;
    let pid = shim.create(&flood).await.unwrap().pid;
    shim.run("flood").await;
    until("the stream is full", || is_stuck(pid)).await;
    // With a terminal, the shim itself copies.
    let terminal = node.bundle("terminal", &["/hello", "flood"], |config, _| {
        config["process"]["terminal"] = true.into();
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }));
        mounts.push(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"] }));
    });
    let mut request = shim.request(&terminal);
    (request.terminal, request.stderr) = (true, String::new());
    let pid = shim.client.create(call_context(), &request).await.unwrap().pid;
    shim.run("terminal").await;
    until("the terminal is full", || is_stuck(pid)).await;
    shim.exec(&flood, "e", &["/hello", "flood"], false).await.unwrap();
    let pid = shim.start_exec("flood", "e").await.unwrap();
    until("the stream of what was executed is full", || is_stuck(pid)).await;
    // Another container of the pod comes, speaks and goes meanwhile.
    let other = node.bundle("other", &["/hello", "others"], |_, _| {});
    let _out = other.hold("stdout");
    shim.create(&other).await.unwrap();
    shim.run("other").await;
    assert_eq!(shim.wait("other").await.exit_status, 0);
    assert_eq!(other.expect("stdout", "\n").await, "hello others\n");
    shim.delete("other").await.unwrap();
    shim.kill_exec("flood", "e", 9).await.unwrap();
    assert_eq!(shim.wait_exec("flood", "e").await, 137);
    shim.delete_exec("flood", "e").await.unwrap();
    kill_and_delete(&shim, &terminal).await;
    kill_and_delete(&shim, &flood).await;
    shim.end().await;
}

/// Reads what is there, as containerd does: for reading only, so that the stream notices when it goes.
fn read_some(path: &Path) -> Vec<u8> {
    let mut reader = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap();
    let mut piece = vec![0; 32 << 10];
    let read = reader.read(&mut piece).unwrap();
    piece.truncate(read);
    piece
}

/// As containerd is restarted: no SIGPIPE, and not a byte is lost.
#[tokio::test]
async fn a_reader_that_goes_and_comes_back_misses_nothing() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello", "flood"], |_, _| {});
    let shim = node.start(&bundle).await;
    let pid = shim.create(&bundle).await.unwrap().pid;
    shim.run("a").await;
    let mut all = Vec::new();
    for _ in 0..20 {
        until("there is more than a reader takes", || is_stuck(pid)).await;
        all.extend(read_some(&bundle.path.join("stdout")));
    }
    assert!(is_running(&shim, "a").await);
    let text = String::from_utf8(all).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for (number, line) in lines[..lines.len() - 1].iter().enumerate() {
        assert_eq!(*line, format!("line {number}"));
    }
    kill_and_delete(&shim, &bundle).await;
    shim.end().await;
}

/// As of what ends before containerd has opened its streams: what it said waits there.
#[tokio::test]
async fn what_was_said_last_is_there_for_a_reader_that_comes_later() {
    let node = Node::new().await;
    for (id, wasm) in [("native", false), ("wasm", true)] {
        let bundle = node.bundle(id, &["/hello", "late reader"], |config, rootfs| {
            if wasm {
                fs::write(rootfs.join("app.wasm"), b"\0asm\x01\0\0\0").unwrap();
                config["process"]["args"] = json!(["/app.wasm"]);
            }
        });
        let shim = node.start(&bundle).await;
        shim.create(&bundle).await.unwrap();
        shim.run(id).await;
        assert_eq!(shim.wait(id).await.exit_status, 0);
        let text = bundle.read("stdout").await;
        assert!(text.contains(if wasm { "written false" } else { "hello late reader" }), "{id}: {text:?}");
        assert_eq!(bundle.read("stderr").await, if wasm { "" } else { "to stderr\n" });
        shim.delete(id).await.unwrap();
        shim.end().await;
    }
}

/// containerd opens the streams of an exec while it starts it, and on a busy node comes later than the end of a short one.
/// `kubectl exec` would wait for ever then.
#[tokio::test]
async fn what_was_executed_is_heard_by_a_reader_that_comes_after_its_end() {
    let node = Node::new().await;
    for (id, wasm) in [("native", false), ("wasm", true)] {
        let bundle = node.bundle(id, &["/hello", "deaf"], |config, rootfs| {
            if wasm {
                fs::write(rootfs.join("app.wasm"), b"\0asm\x01\0\0\0").unwrap();
                config["process"]["args"] = json!(["/app.wasm"]);
                config["process"]["env"] = json!(["STAY=1"]);
            }
        });
        let shim = node.start(&bundle).await;
        shim.create(&bundle).await.unwrap();
        shim.run(id).await;
        let args = if wasm { &["ps"][..] } else { &["/hello", "late reader"] };
        shim.exec(&bundle, "e", args, false).await.unwrap();
        shim.start_exec(id, "e").await.unwrap();
        assert_eq!(shim.wait_exec(id, "e").await, 0);
        let text = bundle.read(&exec_stream("e", "stdout")).await;
        assert!(text.contains(if wasm { "asked " } else { "hello late reader" }), "{id}: {text:?}");
        assert_eq!(bundle.read(&exec_stream("e", "stderr")).await, if wasm { "" } else { "to stderr\n" });
        shim.delete_exec(id, "e").await.unwrap();
        // One that nobody reads is deleted all the same.
        assert_eq!(shim.run_exec(&bundle, "f", args).await, 0);
        shim.end_with(id).await;
    }
}

/// A log that nobody reads costs lines, not the pod: the shim has one thread.
#[tokio::test]
async fn a_shim_whose_own_log_is_full_goes_on() {
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let log = sandbox.path.join("log");
    fs::remove_file(&log).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &log, rustix::fs::Mode::RWXU).unwrap();
    let mut reader = fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&log).unwrap();
    let shim = node.start(&sandbox).await;
    // To the last byte.
    for size in [4096, 1] {
        while reader.write_all(&vec![b'\n'; size]).is_ok() {}
    }
    let refuse = async |id: &str| {
        let bad = node.bundle(id, &["/missing.wasm"], |_, _| {});
        refusal(shim.create(&bad).await);
    };
    for number in 0..3 {
        refuse(&format!("unlogged-{number}")).await;
    }
    let good = node.bundle("good", &["/hello", "all is well"], |_, _| {});
    let _out = good.hold("stdout");
    shim.create(&good).await.unwrap();
    shim.run("good").await;
    assert_eq!(shim.wait("good").await.exit_status, 0);
    shim.delete("good").await.unwrap();
    // Once somebody reads again, it is heard again.
    let mut all = Vec::new();
    assert!(reader.read_to_end(&mut all).is_err(), "the shim holds it open");
    refuse("logged").await;
    all.clear();
    assert!(reader.read_to_end(&mut all).is_err());
    let text = String::from_utf8(all).unwrap();
    assert!(text.contains("container logged is not created") && !text.contains("unlogged"), "{text:?}");
    shim.end().await;
}

/// The grace period is the kubelet's; the shim has to take both signals at any time.
#[tokio::test]
async fn what_takes_no_notice_of_sigterm_is_killed_and_deleted_in_time() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello", "deaf"], |_, _| {});
    let _out = bundle.hold("stdout");
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    shim.run("a").await;
    bundle.expect("stdout", "deaf").await;
    // What it has started is as deaf.
    shim.exec(&bundle, "e", &["/hello", "deaf"], false).await.unwrap();
    let _exec_out = bundle.hold(&exec_stream("e", "stdout"));
    shim.start_exec("a", "e").await.unwrap();
    bundle.expect(&exec_stream("e", "stdout"), "deaf").await;
    for _ in 0..3 {
        shim.kill("a", 15).await.unwrap();
    }
    assert!(is_running(&shim, "a").await);
    kill_and_delete(&shim, &bundle).await;
    shim.end().await;
}
