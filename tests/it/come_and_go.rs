//! Pods that are made and deleted in bursts, as a node has them for months: nothing is left of them, and the end of each
//! is told once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Child;

use anyhow::{Context, Result, ensure};
use perigee_e2e::cluster::Cluster;
use perigee_e2e::images::{self, PROBE};
use perigee_e2e::ns::{Namespace, alone_with_perigee};
use perigee_e2e::objects::wasm_pod;
use perigee_e2e::{node, wait};
use serde_json::{Value, json};

/// As many as a node takes in a burst.
const AT_ONCE: usize = 20;

/// containerd's events from now on, as `ctr events` prints them.
struct Events {
    ctr: Child,
    file: PathBuf,
}

impl Events {
    fn record(cluster: &Cluster) -> Result<Self> {
        let file = cluster.folder().join("events.log");
        let ctr = cluster.command("ctr").arg("events").stdout(File::create(&file)?).spawn()?;
        let events = Self { ctr, file };
        wait::until("events come", wait::LIMIT, || {
            // One that costs nothing.
            cluster.ctr(&["images", "label", PROBE, "perigee.test/seen=yes"])?;
            ensure!(fs::metadata(&events.file)?.len() > 0, "none");
            Ok(())
        })?;
        Ok(events)
    }

    /// How often each container's first process is said to have started (or, of another topic, to have ended).
    fn count(&self, topic: &str) -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        let text = fs::read_to_string(&self.file)?;
        for (_, event) in text.lines().filter_map(|line| line.split_once(&format!(" {topic} "))) {
            let event: Value = serde_json::from_str(event).with_context(|| event.to_owned())?;
            let container = event["container_id"].as_str().context("an event names its container")?;
            if event.get("id").is_none_or(|id| *id == event["container_id"]) {
                *counts.entry(container.to_owned()).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // It may have ended with containerd.
        drop(self.ctr.kill().and_then(|()| self.ctr.wait()));
    }
}

/// One burst: pods that end, half of them with a failure, then all are deleted.
fn burst(namespace: &Namespace, image: &str, round: usize) -> Result<()> {
    let pods: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let command: &[&str] = if number % 2 == 0 { &["/hello.wasm"] } else { &["/exit_code.wasm", "7"] };
            let mut pod = wasm_pod(&format!("pod-{round}-{number}"), image, command);
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
    namespace.kubectl(&["delete", "pods", "--all", "--wait=false"]).map(drop)
}

/// Bursts one after the other; `times` over, and each time the node is as it was.
fn bursts(times: usize, each: usize) -> Result<()> {
    alone_with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let before = node::snapshot(namespace.cluster)?;
        let events = Events::record(namespace.cluster)?;
        for time in 0..times {
            (0..each).try_for_each(|round| burst(namespace, &image, time * each + round))?;
            node::wait_until_clean(namespace.cluster, &before)?;
        }
        // A pod is two containers: its own, and the one that holds its namespaces.
        let pods = times * each * AT_ONCE;
        wait::until("all exits are told", wait::LIMIT, || {
            for topic in ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"] {
                let counts = events.count(topic)?;
                let wrong: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
                ensure!(wrong.is_empty() && counts.len() == pods * 2, "{topic}: {} containers, {wrong:?}", counts.len());
            }
            Ok(())
        })
    })
}

#[test]
fn a_hundred_pods_come_and_go_and_leave_nothing() -> Result<()> {
    bursts(1, 5)
}

/// Two thousand pods: for a quiet half hour (`make soak-cluster`).
#[test]
#[ignore = "half an hour"]
fn two_hundred_pods_come_and_go_ten_times_and_leave_nothing() -> Result<()> {
    bursts(10, 10)
}
