//! The parts that are not calls of the task API: the binary's own actions.

use std::{fs, process::Command};

use containerd_shim::{
    DeleteResponse,
    api::ConnectRequest,
    protos::{api::Mount, protobuf::Message, types::introspection::RuntimeInfo},
};

use crate::node::{Node, call_context, has_ended, until};

fn is_mounted(path: &std::path::Path) -> bool {
    fs::read_to_string("/proc/self/mounts").unwrap().contains(path.to_str().unwrap())
}

#[tokio::test]
async fn delete_cleans_up_after_a_shim_that_died() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello", "sleep"], |_, _| {});
    // An image that has to be mounted, as containerd's are.
    let image = node.path().join("image");
    fs::rename(bundle.path.join("rootfs"), &image).unwrap();
    fs::create_dir(bundle.path.join("rootfs")).unwrap();
    let shim = node.start(&bundle).await;
    let mut request = shim.request(&bundle);
    let source = image.to_str().unwrap().to_owned();
    request.rootfs = vec![Mount { type_: "bind".into(), source, options: vec!["rbind".into(), "rw".into()], ..Mount::new() }];
    let pid = shim.client.create(call_context(), &request).await.unwrap().pid;
    shim.run("a").await;
    let connect = ConnectRequest { id: "a".into(), ..ConnectRequest::new() };
    let connected = shim.client.connect(call_context(), &connect).await.unwrap();
    assert_eq!(connected.task_pid, pid);
    let server = rustix::process::Pid::from_raw(connected.shim_pid.cast_signed()).unwrap();
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    until("the server is gone", || std::os::unix::net::UnixStream::connect(shim.socket()).is_err()).await;
    let running = || fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|command| command.contains("hello"));
    // runc answers the start a moment before its process becomes the program.
    until("the container runs its program", running).await;
    assert!(is_mounted(&bundle.path));
    let since = std::time::Instant::now();
    let output = node.call(&bundle, "delete");
    assert!(since.elapsed().as_secs() < 5, "containerd gives it 5 s");
    assert!(output.status.success(), "{output:?}");
    let response = DeleteResponse::parse_from_bytes(&output.stdout).unwrap();
    assert_eq!((response.exit_status, response.pid), (137, pid));
    assert!(!running() && !is_mounted(&bundle.path));
    assert_eq!(node.runc_state(), Vec::<String>::new());
    assert!(!shim.socket().exists());
    // Again, and for a bundle that never became a container: nothing to do is no failure.
    assert!(node.call(&bundle, "delete").status.success());
}

/// As when containerd, on a full disk, cannot write down where the shim is that it has started.
#[tokio::test]
async fn a_shim_whose_bundle_goes_before_it_has_a_container_ends() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello"], |_, _| {});
    let shim = node.start(&bundle).await;
    let server = shim.pid().await;
    fs::remove_dir_all(&bundle.path).unwrap();
    until("the server has ended", || has_ended(server)).await;
    assert!(!shim.socket().exists());
}

#[tokio::test]
async fn deleting_a_container_unmounts_its_image() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/hello"], |_, _| {});
    let image = node.path().join("image");
    fs::rename(bundle.path.join("rootfs"), &image).unwrap();
    fs::create_dir(bundle.path.join("rootfs")).unwrap();
    let shim = node.start(&bundle).await;
    let mut request = shim.request(&bundle);
    let source = image.to_str().unwrap().to_owned();
    request.rootfs = vec![Mount { type_: "bind".into(), source, options: vec!["rbind".into()], ..Mount::new() }];
    shim.client.create(call_context(), &request).await.unwrap();
    shim.run("a").await;
    shim.wait("a").await;
    assert!(is_mounted(&bundle.path));
    shim.delete("a").await.unwrap();
    assert!(!is_mounted(&bundle.path));
    shim.end().await;
}

#[test]
fn the_binary_says_its_version_and_what_its_runtime_can_do() {
    let shim = env!("CARGO_BIN_EXE_containerd-shim-perigee-v1");
    let version = Command::new(shim).arg("-v").output().unwrap();
    assert!(String::from_utf8(version.stdout).unwrap().contains(env!("CARGO_PKG_VERSION")));
    let info = Command::new(shim).arg("-info").stdin(std::process::Stdio::null()).output().unwrap();
    let info = RuntimeInfo::parse_from_bytes(&info.stdout).unwrap();
    assert_eq!(info.name, "io.containerd.perigee.v1");
    assert!(info.features.type_url.ends_with("features/Features"), "runc 1.1 and later describes itself");
}
