//! Images: packed by the project, pushed to the cluster's registry or imported straight onto the node.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cluster::{Cluster, REGISTRY, output_of, tests_folder};

/// The native test program (`tests/cluster/probe`), which up.sh imports onto the node.
pub const PROBE: &str = "perigee.test/probe:1";

/// Packs a static program as an OCI archive whose entrypoint it is; `reference` is `name:tag`.
pub fn pack(archive: &Path, reference: &str, program: &Path) -> Result<()> {
    let mut pack = Command::new(tests_folder("cluster/pack-image.sh"));
    output_of(pack.arg(archive).arg(reference).arg(program)).map(drop)
}

/// Copies an image out of an OCI archive or layout folder into the registry, and returns the name to pull it by.
/// `tag` names it in the layout; `name` is `repository:tag` in the registry.
pub fn push(cluster: &Cluster, layout: &Path, tag: &str, name: &str) -> Result<String> {
    let source = format!("{}:{tag}", layout.display());
    let target = format!("{REGISTRY}/{name}");
    output_of(cluster.command("oras").args(["cp", "--no-tty", "--from-oci-layout", &source, "--to-plain-http", &target]))
        .with_context(|| format!("pushing {source}"))?;
    Ok(target)
}

/// Imports an OCI archive into containerd, under the name that the archive gives.
pub fn import(cluster: &Cluster, archive: &Path) -> Result<()> {
    let path = archive.to_str().context("the archive's path is not UTF-8")?;
    cluster.ctr(&["images", "import", path]).map(drop)
}
