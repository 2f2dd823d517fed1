//! Where a container's cgroup is, on hosts with version 1, with version 2 beside it, and with version 2 alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::node::Bundle;

const ROOT: &str = "/sys/fs/cgroup";

/// Whether this host has version 2 alone.
pub(crate) fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The tops of the hierarchies.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    match is_unified() {
        true => vec![ROOT.into()],
        false => fs::read_dir(ROOT).unwrap().map(|entry| entry.unwrap().path()).collect(),
    }
}

/// Where the files of a controller are, for a container that its bundle gives this path.
pub(crate) fn folder(bundle: &Bundle, controller: &str) -> PathBuf {
    let hierarchy = if is_unified() { ROOT.into() } else { Path::new(ROOT).join(controller) };
    hierarchy.join(path(bundle))
}

/// Those of the folders of the container's cgroup that exist.
pub(crate) fn existing(bundle: &Bundle) -> Vec<PathBuf> {
    let path = path(bundle);
    hierarchies().into_iter().map(|hierarchy| hierarchy.join(&path)).filter(|folder| folder.exists()).collect()
}

/// The message in which the host's version says what a container uses.
pub(crate) fn metrics_type() -> &'static str {
    if is_unified() { "io.containerd.cgroups.v2.Metrics" } else { "io.containerd.cgroups.v1.Metrics" }
}

/// What the container's cgroup may use of memory, in bytes.
pub(crate) fn memory_limit(bundle: &Bundle) -> u64 {
    let file = if is_unified() { "memory.max" } else { "memory.limit_in_bytes" };
    fs::read_to_string(folder(bundle, "memory").join(file)).unwrap().trim().parse().unwrap()
}

/// Below the top of a hierarchy.
fn path(bundle: &Bundle) -> String {
    let config: Value = serde_json::from_slice(&fs::read(bundle.path.join("config.json")).unwrap()).unwrap();
    let path = config["linux"]["cgroupsPath"].as_str().unwrap();
    match path.split(':').collect::<Vec<_>>()[..] {
        // The form of systemd's driver; these tests have no slice in a slice.
        [slice, prefix, name] => format!("{slice}/{prefix}-{name}.scope"),
        _ => path.trim_start_matches('/').to_owned(),
    }
}
