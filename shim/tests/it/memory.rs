//! What a container uses, that its memory ran out, and that its limits change.

use std::{fs, path::Path};

use containerd_shim::{
    api::StatsRequest,
    protos::{
        cgroups, cgroups_v2,
        events::task::{TaskExit, TaskOOM},
        protobuf::Message,
    },
};
use serde_json::{Value, json};

use crate::{
    cgroups::{folder, is_unified, memory_limit},
    node::{Bundle, Node, Shim, call_context, exec_stream, until},
};

const MIB: u64 = 1 << 20;

fn number(folder: &Path, file: &str) -> u64 {
    fs::read_to_string(folder.join(file)).unwrap().trim().parse().unwrap()
}

/// What both versions say of a container, in bytes and nanoseconds.
struct Metrics {
    processor: u64,
    memory_limit: u64,
    most_memory: u64,
    processes: u64,
    process_limit: u64,
}

/// In the form of the host's version.
async fn metrics(shim: &Shim, id: &str) -> Metrics {
    let stats = shim.client.stats(call_context(), &StatsRequest { id: id.into(), ..StatsRequest::new() }).await.unwrap().stats;
    if is_unified() {
        assert_eq!(stats.type_url, "io.containerd.cgroups.v2.Metrics");
        let metrics = cgroups_v2::metrics::Metrics::parse_from_bytes(&stats.value).unwrap();
        return Metrics {
            processor: metrics.cpu.usage_usec * 1000,
            memory_limit: metrics.memory.usage_limit,
            most_memory: metrics.memory.max_usage,
            processes: metrics.pids.current,
            process_limit: metrics.pids.limit,
        };
    }
    assert_eq!(stats.type_url, "io.containerd.cgroups.v1.Metrics");
    let metrics = cgroups::metrics::Metrics::parse_from_bytes(&stats.value).unwrap();
    assert_eq!(metrics.memory.hierarchical_memory_limit, metrics.memory.usage.limit);
    Metrics {
        processor: metrics.cpu.usage.total,
        memory_limit: metrics.memory.usage.limit,
        most_memory: metrics.memory.usage.max,
        processes: metrics.pids.current,
        process_limit: metrics.pids.limit,
    }
}

/// Nanoseconds that the container's processes have run.
fn processor(bundle: &Bundle) -> u64 {
    if !is_unified() {
        return number(&folder(bundle, "cpuacct"), "cpuacct.usage");
    }
    let stat = fs::read_to_string(folder(bundle, "cpu").join("cpu.stat")).unwrap();
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
    micros.parse::<u64>().unwrap() * 1000
}

/// Linux before 5.19 does not say in version 2 how much memory was used at most.
fn most_memory(bundle: &Bundle) -> Option<u64> {
    let file = if is_unified() { "memory.peak" } else { "memory.max_usage_in_bytes" };
    let folder = folder(bundle, "memory");
    folder.join(file).exists().then(|| number(&folder, file))
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
    // Something to account for.
    let _out = bundle.hold("stdout");
    assert_eq!(shim.run_exec(&bundle, "e", &["/hello", "eat", "20"]).await, 0);
    // Between two readings of the same files.
    let (cpu_before, most_before) = (processor(&bundle), most_memory(&bundle).unwrap_or(0));
    let metrics = metrics(&shim, "metrics").await;
    let (cpu_after, most_after) = (processor(&bundle), most_memory(&bundle).unwrap_or(0));
    assert!(cpu_before > 1_000_000, "to fill 20 MiB takes more than a millisecond");
    assert!((cpu_before..=cpu_after).contains(&metrics.processor), "{cpu_before} {} {cpu_after}", metrics.processor);
    assert!((most_before..=most_after).contains(&metrics.most_memory), "{most_before} {} {most_after}", metrics.most_memory);
    assert!(most_before > 20 * MIB || most_memory(&bundle).is_none(), "{most_before}");
    assert_eq!(metrics.memory_limit, 64 * MIB);
    assert_eq!((metrics.processes, metrics.process_limit), (number(&folder(&bundle, "pids"), "pids.current"), 50));
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
        let memory = folder(bundle, "memory");
        let pids = fs::read_to_string(memory.join("cgroup.procs")).unwrap();
        let resources = json!({ "memory": { "limit": 128 * MIB }, "cpu": { "quota": 50_000, "period": 100_000 } });
        shim.update(&bundle.id, &resources).await.unwrap();
        let (quota, expected) = if is_unified() { ("cpu.max", "50000 100000") } else { ("cpu.cfs_quota_us", "50000") };
        assert_eq!(memory_limit(bundle), 128 * MIB);
        assert_eq!(fs::read_to_string(folder(bundle, "cpu").join(quota)).unwrap().trim(), expected);
        assert_eq!(fs::read_to_string(memory.join("cgroup.procs")).unwrap(), pids, "nothing was restarted");
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
