//! What dies without warning takes nothing else along: shims, workers, containerd, the kubelet.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perigee_e2e::cluster::output_of;
use perigee_e2e::ns::{Namespace, alone_with_perigee};
use perigee_e2e::objects::{APP_CONTAINER, app, idle, wasm_pod};
use perigee_e2e::{busybox, images, node, wait};
use serde_json::{Value, json};

/// A process of the node whose command line has all of these words.
fn process(words: &[&str]) -> Result<u32> {
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        let Ok(command) = fs::read(path.join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if words.iter().all(|word| command.contains(word)) {
            return Ok(pid);
        }
    }
    anyhow::bail!("no process has {words:?} in its command line")
}

fn kill(pid: u32) -> Result<()> {
    output_of(Command::new("kill").args(["-KILL", &pid.to_string()])).map(drop)
}

/// An app with one pod that runs; the pod.
fn running(namespace: &Namespace) -> Result<Value> {
    let image = images::guests(namespace.cluster)?;
    namespace.apply(&app("idle", &image, json!({"actors": [idle()]})))?;
    namespace.wait_for_condition("actorapp/idle", "Available")?;
    namespace.wait_for_pod_of("idle")
}

fn sandbox_of(namespace: &Namespace, pod: &Value) -> Result<String> {
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
    let filter = format!("labels.\"io.kubernetes.pod.name\"=={name},labels.\"io.cri-containerd.kind\"==sandbox");
    let sandboxes = namespace.cluster.ctr(&["containers", "ls", "--quiet", &filter])?;
    sandboxes.lines().next().map(str::to_owned).with_context(|| format!("no sandbox of {name}"))
}

fn container_id(pod: &Value) -> Result<String> {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().context("a container has an id")?;
    Ok(id.trim_start_matches("containerd://").to_owned())
}

fn restarts(pod: &Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default()
}

/// Waits until the app is well again and started more often than `before`.
fn comes_back(namespace: &Namespace, before: &Value) -> Result<Value> {
    wait::until("the app comes back", wait::LIMIT, || {
        let pods = namespace.pods_of("idle")?;
        let well = pods.iter().find(|pod| {
            let newer = pod["metadata"]["uid"] != before["metadata"]["uid"] || restarts(pod) > restarts(before);
            newer && pod["status"]["containerStatuses"][0]["ready"] == true
        });
        well.cloned().with_context(|| format!("{:#?}", pods.iter().map(|pod| &pod["status"]).collect::<Vec<_>>()))
    })
}

/// Deletes the app, and waits until the node is as it was.
fn leaves_nothing(namespace: &Namespace, before: &std::collections::BTreeSet<String>) -> Result<()> {
    namespace.kubectl(&["delete", "actorapp/idle", "--wait=false"])?;
    node::wait_until_clean(namespace.cluster, before)
}

#[test]
fn a_worker_that_is_killed_is_started_again() -> Result<()> {
    alone_with_perigee(|namespace| {
        let before = node::snapshot(namespace.cluster)?;
        let pod = running(namespace)?;
        let id = container_id(&pod)?;
        let tasks = namespace.cluster.ctr(&["tasks", "ls"])?;
        let line = tasks.lines().find(|line| line.starts_with(&id)).with_context(|| tasks.clone())?;
        kill(line.split_whitespace().nth(1).context("a task has a pid")?.parse()?)?;
        let after = comes_back(namespace, &pod)?;
        let last = &after["status"]["containerStatuses"][0]["lastState"]["terminated"];
        ensure!(last["exitCode"] == 137 && after["status"]["containerStatuses"][0]["name"] == APP_CONTAINER, "{last:#}");
        leaves_nothing(namespace, &before)
    })
}

#[test]
fn a_shim_that_is_killed_costs_its_pod_and_leaves_nothing() -> Result<()> {
    alone_with_perigee(|namespace| {
        let before = node::snapshot(namespace.cluster)?;
        let pod = running(namespace)?;
        let sandbox = sandbox_of(namespace, &pod)?;
        kill(process(&["containerd-shim-perigee-v1", &sandbox])?)?;
        comes_back(namespace, &pod)?;
        leaves_nothing(namespace, &before)
    })
}

/// The last number of a log of numbered lines that come one after the other.
fn last_line(log: &str) -> Result<u64> {
    log.lines().last().and_then(|line| line.parse().ok()).with_context(|| log.to_owned())
}

#[test]
fn pods_run_on_while_containerd_and_the_kubelet_are_killed() -> Result<()> {
    alone_with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let before = node::snapshot(namespace.cluster)?;
        let pod = running(namespace)?;
        // One that writes all the time: while containerd is away, nobody reads what it says.
        namespace.apply(&busybox::pod("talker", "i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done"))?;
        namespace.wait_for_condition("pod/talker", "Ready")?;
        let (id, name) = (container_id(&pod)?, pod["metadata"]["name"].as_str().context("a name")?.to_owned());
        for program in ["containerd", "kubelet"] {
            let said = last_line(&namespace.logs("talker")?)?;
            namespace.cluster.restart_killed(program)?;
            namespace.wait_for_condition(&format!("pod/{name}"), "Ready")?;
            let now = namespace.kubectl_json(&["get", "pod", &name])?;
            ensure!(container_id(&now)? == id && restarts(&now) == restarts(&pod), "after {program}: {:#}", now["status"]);
            wait::until("the log goes on", wait::LIMIT, || {
                let says = last_line(&namespace.logs("talker")?)?;
                ensure!(says > said + 100, "{says}");
                Ok(())
            })?;
        }
        ensure!(restarts(&namespace.kubectl_json(&["get", "pod", "talker"])?) == 0);
        // And they are still under control: they stop when they are told to.
        namespace.kubectl(&["delete", "pod/talker", "--wait=false"])?;
        leaves_nothing(namespace, &before)
    })
}

/// An actor that never yields and a program that takes no notice of SIGTERM: neither holds a node up.
#[test]
fn what_does_not_stop_is_killed_when_its_grace_period_ends() -> Result<()> {
    const GRACE: Duration = Duration::from_secs(3);
    /// For the kill, the removal, and the kubelet's telling of it.
    const REST: Duration = Duration::from_secs(8);
    alone_with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let image = images::guests(namespace.cluster)?;
        let before = node::snapshot(namespace.cluster)?;
        let mut pod = wasm_pod("stubborn", &image, &["/c_spin.wasm"]);
        pod["spec"]["terminationGracePeriodSeconds"] = GRACE.as_secs().into();
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "200m", "memory": "32Mi"}});
        let containers = pod["spec"]["containers"].as_array_mut().context("a list")?;
        containers.push(busybox::container("deaf", "trap '' TERM; echo deaf; while :; do sleep 1; done"));
        namespace.apply(&pod)?;
        namespace.wait_for_condition("pod/stubborn", "Ready")?;
        wait::until("the program has begun", wait::LIMIT, || {
            let log = namespace.kubectl(&["logs", "stubborn", "--container", "deaf"])?;
            ensure!(log.contains("deaf"), "{log}");
            Ok(())
        })?;
        let since = Instant::now();
        namespace.kubectl(&["delete", "pod/stubborn"])?;
        let took = since.elapsed();
        ensure!(took >= GRACE && took < GRACE + REST, "{took:?}");
        node::wait_until_clean(namespace.cluster, &before)
    })
}
