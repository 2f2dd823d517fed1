//! What dies without warning takes nothing else along: shims, workers, containerd, the kubelet.

use std::fs;

use anyhow::{Context, Result, ensure};
use perigee_e2e::ns::{Namespace, alone_with_perigee};
use perigee_e2e::objects::{APP_CONTAINER, app};
use perigee_e2e::{images, node, wait};
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
    perigee_e2e::cluster::output_of(std::process::Command::new("kill").args(["-KILL", &pid.to_string()])).map(drop)
}

/// An app with one pod that runs; the pod.
fn running(namespace: &Namespace) -> Result<Value> {
    let image = images::guests(namespace.cluster)?;
    let idle = json!({"name": "idle", "module": "idle.wasm", "limits": {"memory": "2Mi"}});
    namespace.apply(&app("idle", &image, json!({"actors": [idle]})))?;
    namespace.wait_for_condition("actorapp/idle", "Available")?;
    namespace.wait_for_pod_of("idle")
}

fn sandbox_of(namespace: &Namespace, pod: &Value) -> Result<String> {
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
    let pods = perigee_e2e::cluster::output_of(namespace.cluster.command("ctr").args([
        "containers",
        "ls",
        "--quiet",
        &format!("labels.\"io.kubernetes.pod.name\"=={name},labels.\"io.cri-containerd.kind\"==sandbox"),
    ]))?;
    pods.lines().next().map(str::to_owned).with_context(|| format!("no sandbox of {name}"))
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
    wait::until("nothing is left on the node", wait::LIMIT * 2, || {
        // Those that this test killed have new processes.
        let of_the_node =
            |line: &String| ["/config/containerd.toml ", "/config/kubelet.yaml "].iter().any(|part| line.contains(part));
        let now = node::snapshot(namespace.cluster)?;
        let left: Vec<_> = now.difference(before).filter(|line| !of_the_node(line)).cloned().collect();
        ensure!(left.is_empty(), "{}", left.join("\n"));
        Ok(())
    })
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

#[test]
fn pods_run_on_while_containerd_and_the_kubelet_are_killed() -> Result<()> {
    alone_with_perigee(|namespace| {
        let before = node::snapshot(namespace.cluster)?;
        let pod = running(namespace)?;
        let (id, name) = (container_id(&pod)?, pod["metadata"]["name"].as_str().context("a name")?.to_owned());
        for program in ["containerd", "kubelet"] {
            namespace.cluster.restart_killed(program)?;
            namespace.wait_for_condition(&format!("pod/{name}"), "Ready")?;
            let now = namespace.kubectl_json(&["get", "pod", &name])?;
            ensure!(container_id(&now)? == id && restarts(&now) == restarts(&pod), "after {program}: {:#}", now["status"]);
        }
        // And it is still under control: it stops when it is told to.
        leaves_nothing(namespace, &before)
    })
}

/// As many pods as a node takes in a burst, made and deleted again and again.
#[test]
fn a_hundred_pods_come_and_go_and_leave_nothing() -> Result<()> {
    const AT_ONCE: usize = 20;
    const ROUNDS: usize = 5;
    alone_with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let before = node::snapshot(namespace.cluster)?;
        for round in 0..ROUNDS {
            let pods: Vec<_> = (0..AT_ONCE)
                .map(|number| {
                    let command: &[&str] = if number % 2 == 0 { &["/hello.wasm"] } else { &["/exit_code.wasm", "7"] };
                    let mut pod = perigee_e2e::objects::wasm_pod(&format!("pod-{round}-{number}"), &image, command);
                    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1m", "memory": "8Mi"}});
                    pod
                })
                .collect();
            namespace.apply_all(&pods)?;
            for (number, pod) in pods.iter().enumerate() {
                let name = pod["metadata"]["name"].as_str().context("a name")?;
                let end = namespace.wait_for_end(name)?;
                ensure!(end["exitCode"] == if number % 2 == 0 { 0 } else { 7 }, "{name}: {end:#}");
            }
            namespace.kubectl(&["delete", "pods", "--all", "--wait=false"])?;
        }
        wait::until("nothing is left on the node", wait::LIMIT * 2, || {
            let left: Vec<_> = node::snapshot(namespace.cluster)?.difference(&before).cloned().collect();
            ensure!(left.is_empty(), "{}", left.join("\n"));
            Ok(())
        })
    })
}
