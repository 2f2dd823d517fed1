//! What pods leave on the node: everything that a pod may make there, as a set of lines that two moments can be compared by.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, output_of};
use crate::wait;

/// The kubelet removes a pod's volumes and control groups after the pod, in a loop of its own with a period of 2 s;
/// pods of tests before this one may still be on their way, too.
const CLEAN_LIMIT: Duration = Duration::from_secs(90);

/// The control group of everything that the cluster runs, and of its pods, in each hierarchy.
const CGROUP: &str = "perigee-test";

/// The control groups of the kubelet's classes of pods. In some hierarchies the first pod of a class brings them, and they stay.
const CLASSES: [&str; 2] = ["besteffort", "burstable"];

/// Folders of the cluster with an entry for each pod or container: sockets of shims; bundles; FIFOs; shared memory and
/// records of sandboxes; network namespaces; runc's state; volumes.
const FOLDERS: [&str; 9] = [
    "s",
    "containerd/state/io.containerd.runtime.v2.task/k8s.io",
    "containerd/state/io.containerd.grpc.v1.cri/containers",
    "containerd/state/io.containerd.grpc.v1.cri/sandboxes",
    "containerd/state/io.containerd.grpc.v1.cri/netns",
    "containerd/root/io.containerd.grpc.v1.cri/containers",
    "containerd/root/io.containerd.grpc.v1.cri/sandboxes",
    "runc/k8s.io",
    "kubelet/pods",
];

/// What is on the node now.
pub fn snapshot(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    processes(&mut lines)?;
    mounts(cluster, &mut lines)?;
    for hierarchy in cgroup_mounts()? {
        groups(&Path::new(&hierarchy).join(CGROUP).join("kubepods"), &mut lines)?;
    }
    // Network namespaces are files that are mounted, so they show up as mounts; what leads into them, as links.
    let links = output_of(cluster.command("ip").args(["-brief", "link"]))?;
    lines.extend(links.lines().filter_map(|line| line.split_whitespace().next()).map(|link| format!("link {link}")));
    for folder in FOLDERS {
        entries(&cluster.folder().join(folder), &mut lines)?;
    }
    let leases = cluster.ctr(&["leases", "ls", "--quiet"])?;
    lines.extend(leases.lines().map(|lease| format!("lease {lease}")));
    // What an image was unpacked to stays with the image; what a container writes to is active.
    let snapshots = cluster.ctr(&["snapshots", "ls"])?;
    lines.extend(snapshots.lines().filter(|line| line.contains(" Active")).map(|line| format!("snapshot {line}")));
    Ok(lines)
}

/// What there is now and was not `before`, one line each.
pub fn added(before: &BTreeSet<String>, now: &BTreeSet<String>) -> String {
    now.difference(before).cloned().collect::<Vec<_>>().join("\n")
}

/// Waits until nothing is there that was not `before`.
pub fn wait_until_clean(cluster: &Cluster, before: &BTreeSet<String>) -> Result<()> {
    wait::until("nothing is left on the node", CLEAN_LIMIT, || {
        let left = added(before, &snapshot(cluster)?);
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
}

/// Those of pods, and their shims, which are among the system's. The node's own programs are no leftovers: a test may
/// have started them again.
fn processes(lines: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // A process may end at any moment: what cannot be read is gone.
        let Ok(groups) = fs::read_to_string(path.join("cgroup")) else { continue };
        let Ok(command) = fs::read(path.join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let is_shim = groups.contains(&format!("/{CGROUP}/system")) && command.contains("containerd-shim-");
        if is_shim || groups.contains(&format!("/{CGROUP}/kubepods")) {
            lines.insert(format!("process {} {command}", path.display()));
        }
    }
    Ok(())
}

fn mounts(cluster: &Cluster, lines: &mut BTreeSet<String>) -> Result<()> {
    let folder = cluster.folder().to_str().context("the cluster's folder is UTF-8")?;
    let all = fs::read_to_string("/proc/self/mountinfo")?;
    let points = all.lines().filter_map(|line| line.split(' ').nth(4));
    lines.extend(points.filter(|point| point.starts_with(folder)).map(|point| format!("mount {point}")));
    Ok(())
}

fn cgroup_mounts() -> Result<Vec<String>> {
    let all = fs::read_to_string("/proc/self/mounts")?;
    let fields = all.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    Ok(fields.filter(|fields| fields[2].starts_with("cgroup")).map(|fields| fields[1].to_owned()).collect())
}

fn groups(folder: &Path, lines: &mut BTreeSet<String>) -> Result<()> {
    // A group may go at any moment, and not every hierarchy has them.
    let Ok(below) = fs::read_dir(folder) else { return Ok(()) };
    for entry in below {
        let path = entry?.path();
        if path.is_dir() {
            if !CLASSES.iter().any(|class| path.ends_with(class)) {
                lines.insert(format!("cgroup {}", path.display()));
            }
            groups(&path, lines)?;
        }
    }
    Ok(())
}

fn entries(folder: &Path, lines: &mut BTreeSet<String>) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        lines.insert(format!("file {}", entry?.path().display()));
    }
    Ok(())
}
