//! What the shim's own launcher must stand: hostile images, errors in words, every call on what it made, its own death.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use containerd_shim::{
    api::{PauseRequest, PidsRequest, ResumeRequest, StateRequest, StatsRequest, Status, UpdateTaskRequest},
    protos::protobuf::well_known_types::any::Any,
};
use serde_json::{Value, json};

use crate::{
    cgroups::{self, is_unified},
    node::{Bundle, Node, call_context, refusal, until},
};

const WASM: &[u8] = b"\0asm\x01\0\0\0";

/// A Wasm container with the mounts of the kubelet, which stays.
fn wasm(config: &mut Value, rootfs: &Path) {
    fs::write(rootfs.join("app.wasm"), WASM).unwrap();
    config["process"]["args"] = json!(["/app.wasm"]);
    config["process"]["env"] = json!(["STAY=1"]);
    config["mounts"] = json!([
        { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
        { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] },
    ]);
}

fn is_launched(bundle: &Bundle) -> bool {
    bundle.path.join("perigee-launcher").exists()
}

#[tokio::test]
async fn a_launched_container_takes_every_call() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &[], wasm);
    let _out = bundle.hold("stdout");
    let shim = node.start(&bundle).await;
    let pid = shim.create(&bundle).await.unwrap().pid;
    assert!(is_launched(&bundle) && !cgroups::existing(&bundle).is_empty());
    assert_eq!(node.runc_state(), Vec::<String>::new());
    let id = || "a".to_owned();
    let state = async || {
        let request = StateRequest { id: id(), ..StateRequest::new() };
        shim.client.state(call_context(), &request).await.unwrap().status.unwrap()
    };
    assert_eq!(state().await, Status::CREATED);
    assert!(fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().starts_with("perigee-launcher"), "it waits");
    assert_eq!(shim.run("a").await, pid);
    bundle.expect("stdout", "written").await;
    let pids = shim.client.pids(call_context(), &PidsRequest { id: id(), ..PidsRequest::new() }).await.unwrap();
    assert_eq!(pids.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid]);
    shim.client.stats(call_context(), &StatsRequest { id: id(), ..StatsRequest::new() }).await.unwrap();
    shim.client.pause(call_context(), &PauseRequest { id: id(), ..PauseRequest::new() }).await.unwrap();
    assert_eq!(state().await, Status::PAUSED);
    let (file, frozen) = if is_unified() { ("cgroup.events", "frozen 1\n") } else { ("freezer.state", "FROZEN\n") };
    assert!(fs::read_to_string(cgroups::folder(&bundle, "freezer").join(file)).unwrap().contains(frozen));
    shim.client.resume(call_context(), &ResumeRequest { id: id(), ..ResumeRequest::new() }).await.unwrap();
    assert_eq!(state().await, Status::RUNNING);
    for limit in [64 << 20, 128 << 20, 32 << 20] {
        let value =
            json!({ "memory": { "limit": limit }, "cpu": { "shares": 512 }, "pids": { "limit": 50 } }).to_string().into_bytes();
        let resources = Some(Any { value, ..Any::new() }).into();
        let request = UpdateTaskRequest { id: id(), resources, ..UpdateTaskRequest::new() };
        shim.client.update(call_context(), &request).await.unwrap();
        assert_eq!(cgroups::memory_limit(&bundle), limit);
    }
    shim.client.pause(call_context(), &PauseRequest { id: id(), ..PauseRequest::new() }).await.unwrap();
    // SIGKILL reaches what is frozen.
    shim.kill("a", 9).await.unwrap();
    assert_eq!(shim.wait("a").await.exit_status, 137);
    shim.delete("a").await.unwrap();
    assert_eq!(cgroups::existing(&bundle), Vec::<PathBuf>::new());
    shim.end().await;
    assert_eq!(node.events.topics().last().unwrap(), "/tasks/delete");
}

#[tokio::test]
async fn a_container_that_never_started_is_deleted() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &[], wasm);
    let shim = node.start(&bundle).await;
    let pid = shim.create(&bundle).await.unwrap().pid;
    assert_eq!(shim.delete("a").await.unwrap().exit_status, 137);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(cgroups::existing(&bundle), Vec::<PathBuf>::new());
    shim.end().await;
}

/// What is mounted on this machine, but for what other tests and other containers come and go with.
fn mounts(node: &Node) -> Vec<String> {
    let own = node.path().to_str().unwrap();
    let others = |point: &str| ["/tmp/perigee-it-", "/var/lib/", "/run/"].iter().any(|folder| point.starts_with(folder));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // The fifth field is the mount point (proc_pid_mountinfo(5)).
    let point = |line: &str| line.split(' ').nth(4).unwrap_or_default().to_owned();
    mounts.lines().filter(|line| point(line).starts_with(own) || !others(&point(line))).map(str::to_owned).collect()
}

#[tokio::test]
async fn links_in_the_image_lead_nowhere_outside() {
    type Hostile = fn(&Path, &Path);
    // What the image looks like, and whether a container comes of it.
    let cases: [(&str, bool, Hostile); 7] = [
        ("volumes", true, |rootfs, outside| {
            symlink(outside, rootfs.join("data")).unwrap();
            symlink("../../../../../../../../../../tmp", rootfs.join("up")).unwrap();
        }),
        ("magic", false, |rootfs, _| symlink("/proc/self/root", rootfs.join("magic")).unwrap()),
        ("etc", true, |rootfs, outside| {
            symlink(outside, rootfs.join("etc")).unwrap();
        }),
        ("dev", true, |rootfs, outside| symlink(outside, rootfs.join("dev")).unwrap()),
        ("perigee", true, |rootfs, outside| symlink(outside, rootfs.join(".perigee")).unwrap()),
        ("proc", false, |rootfs, outside| symlink(outside, rootfs.join("proc")).unwrap()),
        ("sys", false, |rootfs, outside| symlink(outside, rootfs.join("sys")).unwrap()),
    ];
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for (name, works, hostile) in cases {
        let outside = node.path().join(format!("outside-{name}"));
        fs::create_dir(&outside).unwrap();
        let volume = node.path().join("volume");
        fs::create_dir_all(&volume).unwrap();
        fs::write(node.path().join("file"), "").unwrap();
        let mounts_before = mounts(&node);
        let bundle = node.bundle(name, &[], |config, rootfs| {
            wasm(config, rootfs);
            hostile(rootfs, &outside);
            let mounts = config["mounts"].as_array_mut().unwrap();
            for destination in ["/data", "/data/deep", "/up/there", "/magic/x"] {
                mounts.push(json!({ "destination": destination, "type": "bind", "source": volume, "options": ["rbind", "rw"] }));
            }
            for destination in ["/etc/hosts", "/dev/termination-log"] {
                let source = node.path().join("file");
                mounts.push(json!({ "destination": destination, "type": "bind", "source": source, "options": ["bind", "ro"] }));
            }
            config["linux"]["maskedPaths"] = json!(["/proc/kcore", "/sys/firmware", "/etc/hosts"]);
            config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/data"]);
        });
        let _out = bundle.hold("stdout");
        let created = shim.create(&bundle).await;
        assert!(works == created.is_ok(), "{name}: {created:?}");
        if works {
            assert!(is_launched(&bundle), "{name}");
            shim.run(name).await;
            bundle.expect("stdout", "written").await;
            shim.kill(name, 9).await.unwrap();
            shim.wait(name).await;
            shim.delete(name).await.unwrap();
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}");
        assert_eq!(mounts(&node), mounts_before, "{name}");
        assert_eq!(cgroups::existing(&bundle), Vec::<PathBuf>::new(), "{name}");
    }
    assert!(!Path::new("/tmp/there").exists());
    shim.end().await;
}

#[tokio::test]
async fn what_cannot_be_made_is_said_in_words() {
    type Change = fn(&mut Value);
    let period = if is_unified() {
        "cpu.max of the container's cgroup to max 1: "
    } else {
        "cpu.cfs_period_us of the container's cgroup to 1: "
    };
    let cases: [(&str, Change); 5] = [
        ("cannot mount /no/such/source at /data: ", |config| {
            let mount = json!({ "destination": "/data", "type": "bind", "source": "/no/such/source", "options": ["bind"] });
            config["mounts"].as_array_mut().unwrap().push(mount);
        }),
        ("cannot mount tmpfs at /x: ", |config| {
            let mount = json!({ "destination": "/x", "type": "tmpfs", "source": "x", "options": ["size=nonsense"] });
            config["mounts"].as_array_mut().unwrap().push(mount);
        }),
        ("cannot join the namespace /proc/1/ns/nothing: ", |config| {
            config["linux"]["namespaces"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "type": "network", "path": "/proc/1/ns/nothing" }));
        }),
        (period, |config| {
            config["linux"]["resources"] = json!({ "cpu": { "period": 1 } });
        }),
        ("cannot change into /app.wasm: ", |config| config["process"]["cwd"] = "/app.wasm".into()),
    ];
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for (number, (expected, change)) in cases.into_iter().enumerate() {
        let bundle = node.bundle(&format!("c{number}"), &[], |config, rootfs| {
            wasm(config, rootfs);
            change(config);
        });
        let (_, message) = refusal(shim.create(&bundle).await);
        assert!(message.contains(expected), "{message}");
        assert!(is_launched(&bundle), "{expected}");
        assert_eq!(cgroups::existing(&bundle), Vec::<PathBuf>::new(), "{expected}");
    }
    shim.end().await;
}

#[tokio::test]
async fn what_the_launcher_does_not_know_is_left_to_runc() {
    type Change = fn(&mut Value);
    let cases: [Change; 3] = [
        |config| config["linux"]["rootfsPropagation"] = "rshared".into(),
        |config| config["hooks"] = json!({}),
        |config| {
            let mount = json!({ "destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"] });
            config["mounts"].as_array_mut().unwrap().push(mount);
        },
    ];
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for (number, change) in cases.into_iter().enumerate() {
        let id = format!("c{number}");
        let bundle = node.bundle(&id, &[], |config, rootfs| {
            wasm(config, rootfs);
            change(config);
        });
        let _out = bundle.hold("stdout");
        shim.create(&bundle).await.unwrap();
        assert!(!is_launched(&bundle), "{number}");
        shim.run(&id).await;
        bundle.expect("stdout", "written").await;
        shim.kill(&id, 9).await.unwrap();
        shim.wait(&id).await;
        shim.delete(&id).await.unwrap();
    }
    shim.end().await;
}

#[tokio::test]
async fn delete_finds_what_a_dead_shim_launched() {
    for started in [true, false] {
        let node = Node::new().await;
        let bundle = node.bundle("a", &[], wasm);
        let _out = bundle.hold("stdout");
        let shim = node.start(&bundle).await;
        let pid = shim.create(&bundle).await.unwrap().pid;
        if started {
            shim.run("a").await;
            bundle.expect("stdout", "written").await;
        }
        shim.die().await;
        let alive = || Path::new(&format!("/proc/{pid}")).exists();
        if started {
            assert!(alive(), "a worker outlives its shim");
        } else {
            until("what was never started ends with the shim", || !alive()).await;
        }
        let output = node.call(&bundle, "delete");
        assert!(output.status.success(), "{output:?}");
        until("it is gone", || !alive()).await;
        assert_eq!(cgroups::existing(&bundle), Vec::<PathBuf>::new());
    }
}
