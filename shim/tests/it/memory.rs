//! What a container uses, that its memory ran out, and that its limits change.

use std::{
    fs,
    path::{Path, PathBuf},
};

use containerd_shim::{
    api::StatsRequest,
    protos::{
        cgroups::metrics::Metrics,
        events::task::{TaskExit, TaskOOM},
        protobuf::Message,
    },
};
use serde_json::{Value, json};

use crate::node::{Bundle, Node, Shim, call_context, exec_stream, until};

const MIB: u64 = 1 << 20;

/// The folder of a container's cgroup in one hierarchy of version 1.
fn cgroup(bundle: &Bundle, controller: &str) -> PathBuf {
    let config: Value = serde_json::from_slice(&fs::read(bundle.path.join("config.json")).unwrap()).unwrap();
    Path::new("/sys/fs/cgroup").join(controller).join(config["linux"]["cgroupsPath"].as_str().unwrap().trim_start_matches('/'))
}

fn number(folder: &Path, file: &str) -> u64 {
    fs::read_to_string(folder.join(file)).unwrap().trim().parse().unwrap()
}

/// Of version 1, which the machines are that these tests run on; what version 2's files become is tested on a fake tree.
async fn metrics(shim: &Shim, id: &str) -> Metrics {
    let stats = shim.client.stats(call_context(), &StatsRequest { id: id.into(), ..StatsRequest::new() }).await.unwrap().stats;
    assert_eq!(stats.type_url, "io.containerd.cgroups.v1.Metrics");
    Metrics::parse_from_bytes(&stats.value).unwrap()
}

fn limited(config: &mut Value, mebibytes: u64) {
    config["linux"]["resources"] = json!({ "memory": { "limit": mebibytes * MIB }, "pids": { "limit": 50 } });
}

fn wasm(config: &mut Value, rootfs: &Path) {
    fs::write(rootfs.join("app.wasm"), b"\0asm\x01\0\0\0").unwrap();
    config["process"]["args"] = json!(["/app.wasm"]);
    config["process"]["env"] = json!(["STAY=1"]);
}

#[tokio::test]
async fn metrics_are_what_the_cgroups_files_say() {
    let node = Node::new().await;
    let bundle = node.bundle("metrics", &["/hello", "sleep"], |config, _| limited(config, 64));
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    shim.run("metrics").await;
    let (memory, cpu, pids) = (cgroup(&bundle, "memory"), cgroup(&bundle, "cpuacct"), cgroup(&bundle, "pids"));
    // Something to account for.
    let _out = bundle.hold("stdout");
    assert_eq!(shim.run_exec(&bundle, "e", &["/hello", "eat", "20"]).await, 0);
    // Between two readings of the same files: in nanoseconds and bytes.
    let (cpu_before, max_before) = (number(&cpu, "cpuacct.usage"), number(&memory, "memory.max_usage_in_bytes"));
    let metrics = metrics(&shim, "metrics").await;
    let (cpu_after, max_after) = (number(&cpu, "cpuacct.usage"), number(&memory, "memory.max_usage_in_bytes"));
    assert!(cpu_before > 1_000_000, "to fill 20 MiB takes more than a millisecond");
    assert!((cpu_before..=cpu_after).contains(&metrics.cpu.usage.total), "{cpu_before} {metrics:?} {cpu_after}");
    assert!((max_before..=max_after).contains(&metrics.memory.usage.max) && max_before > 20 * MIB, "{metrics:?}");
    assert_eq!(metrics.memory.usage.limit, 64 * MIB);
    assert_eq!((metrics.pids.current, metrics.pids.limit), (number(&pids, "pids.current"), 50));
    let stat = fs::read_to_string(memory.join("memory.stat")).unwrap();
    let limit = stat.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit ")).unwrap();
    assert_eq!(metrics.memory.hierarchical_memory_limit, limit.parse::<u64>().unwrap());
    shim.end_with("metrics").await;
}

#[tokio::test]
async fn each_time_that_memory_runs_out_is_told_once_and_at_once() {
    let node = Node::new().await;
    let bundle = node.bundle("oom", &["/hello", "sleep"], |config, _| limited(config, 32));
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    shim.run("oom").await;
    for number in 1..=2 {
        assert_eq!(shim.run_exec(&bundle, &format!("e{number}"), &["/hello", "eat", "200"]).await, 137);
        until("it is told", || node.events.of::<TaskOOM>("/tasks/oom").len() == number).await;
    }
    // One that fits is none.
    let _out = bundle.hold(&exec_stream("e1", "stdout"));
    assert_eq!(shim.run_exec(&bundle, "e3", &["/hello", "eat", "1"]).await, 0);
    shim.end_with("oom").await;
    let told: Vec<_> = node.events.of::<TaskOOM>("/tasks/oom").into_iter().map(|event| event.container_id).collect();
    assert_eq!(told, ["oom", "oom"]);
}

#[tokio::test]
async fn a_container_that_runs_out_of_memory_is_told_of_before_its_end() {
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for round in 0..5 {
        let id = format!("oom-first-{round}");
        let bundle = node.bundle(&id, &["/hello", "eat", "200"], |config, _| limited(config, 32));
        shim.create(&bundle).await.unwrap();
        shim.run(&id).await;
        assert_eq!(shim.wait(&id).await.exit_status, 137);
        shim.delete(&id).await.unwrap();
    }
    shim.end().await;
    for events in node.events.topics().chunks(5) {
        // It may be out of memory before its start is told.
        let (first, rest) = events.split_at(3);
        assert_eq!((first[0].as_str(), rest), ("/tasks/create", ["/tasks/exit", "/tasks/delete"].map(String::from).as_slice()));
        assert!(
            first.iter().any(|topic| topic == "/tasks/start") && first.iter().any(|topic| topic == "/tasks/oom"),
            "{first:?}"
        );
    }
    assert_eq!(node.events.of::<TaskExit>("/tasks/exit").len(), 5);
}

#[tokio::test]
async fn an_update_changes_the_cgroup_and_of_a_plain_pod_the_limit_of_its_actors() {
    let node = Node::new().await;
    let plain = node.bundle("update-plain", &[], |config, rootfs| {
        wasm(config, rootfs);
        limited(config, 64);
    });
    let app = node.bundle("update-app", &[], |config, rootfs| {
        wasm(config, rootfs);
        let app = json!({ "version": 1, "name": "shop", "actors": [{ "name": "web" }] }).to_string();
        config["annotations"] = json!({ "io.kubernetes.cri.container-name": "app", "perigee.dev/app": app });
    });
    let shim = node.start(&plain).await;
    for bundle in [&plain, &app] {
        let _out = bundle.hold("stdout");
        shim.create(bundle).await.unwrap();
        shim.run(&bundle.id).await;
        bundle.expect("stdout", "written").await;
        let pids = fs::read_to_string(cgroup(bundle, "memory").join("cgroup.procs")).unwrap();
        let resources = json!({ "memory": { "limit": 128 * MIB }, "cpu": { "quota": 50_000, "period": 100_000 } });
        shim.update(&bundle.id, &resources).await.unwrap();
        assert_eq!(number(&cgroup(bundle, "memory"), "memory.limit_in_bytes"), 128 * MIB);
        assert_eq!(number(&cgroup(bundle, "cpu"), "cpu.cfs_quota_us"), 50_000);
        assert_eq!(fs::read_to_string(cgroup(bundle, "memory").join("cgroup.procs")).unwrap(), pids, "nothing was restarted");
        // Processors alone are nothing to the actors.
        shim.update(&bundle.id, &json!({ "cpu": { "shares": 512 } })).await.unwrap();
        assert_eq!(shim.run_exec(bundle, "after", &["ps"]).await, 0);
    }
    let told = plain.expect("stdout", "\n").await;
    assert_eq!(told, "took {\"version\":1,\"limit\":{\"class\":\"main\",\"memory\":134217728}}\n");
    for bundle in [&plain, &app] {
        shim.kill(&bundle.id, 9).await.unwrap();
        shim.wait(&bundle.id).await;
        shim.delete(&bundle.id).await.unwrap();
    }
    shim.end().await;
}
