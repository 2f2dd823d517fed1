//! Perigee on the test cluster, as its administrator installs it: programs on the node, the rest by Helm.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::built;
use crate::cluster::{Cluster, cluster, tests_folder};
use crate::images;

/// Namespace of the operator.
pub const NAMESPACE: &str = "perigee-system";

/// What runs on the node, and in the operator's image.
const PROGRAMS: [&str; 3] = ["containerd-shim-perigee-v1", "perigee", "perigee-operator"];

/// The cluster with Perigee on it, installed by the first caller.
///
/// # Panics
/// When it cannot be installed: a test that cannot run has failed.
pub fn installed() -> &'static Cluster {
    static INSTALLED: OnceLock<Result<()>> = OnceLock::new();
    let cluster = cluster();
    match INSTALLED.get_or_init(|| install(cluster)) {
        Ok(()) => cluster,
        Err(error) => panic!("Perigee cannot be installed: {error:#}"),
    }
}

/// The chart's folder.
pub fn chart() -> PathBuf {
    tests_folder("../charts/perigee")
}

fn install(cluster: &Cluster) -> Result<()> {
    for program in PROGRAMS {
        built::program(program)?;
    }
    cluster.install_programs(&built::programs())?;
    let operator = built::program("perigee-operator")?;
    let image = images::packed(cluster, "perigee/operator", None, &[operator], &[])?;
    let (repository, tag) = image.rsplit_once(':').context("an image has a tag")?;
    let chart = chart();
    // On a cluster that is still up from an earlier run this is the upgrade.
    cluster.helm(&[
        "upgrade",
        "--install",
        "perigee",
        chart.to_str().context("the chart's path is not UTF-8")?,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        "--set",
        &format!("image.repository={repository}"),
        // Digits alone would be a number for --set.
        "--set-string",
        &format!("image.tag={tag}"),
        "--wait",
        "--timeout",
        "2m",
    ])?;
    Ok(())
}
