//! What pods leave on the node: everything that a pod may make there, as a set of lines that two moments can be compared by.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cluster::{Cluster, output_of};

/// The control group of everything that the cluster runs, and of its pods, in each hierarchy.
const CGROUP: &str = "perigee-test";

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
    for folder in ["s", "containerd/state/io.containerd.runtime.v2.task/k8s.io", "runc/k8s.io", "kubelet/pods"] {
        entries(&cluster.folder().join(folder), &mut lines)?;
    }
    Ok(lines)
}

/// Those in a control group of the cluster: pods, and (among the system's) their shims.
fn processes(lines: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // A process may end at any moment: what cannot be read is gone.
        let Ok(groups) = fs::read_to_string(path.join("cgroup")) else { continue };
        if groups.contains(&format!("/{CGROUP}/"))
            && let Ok(command) = fs::read(path.join("cmdline"))
        {
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
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
            lines.insert(format!("cgroup {}", path.display()));
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
