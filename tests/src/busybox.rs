//! Native containers with a shell: Debian's static busybox as an image, for what only a real program in a container shows.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::images;
use crate::objects::RUNTIME_CLASS;

/// The image; [`import`] puts it onto the node.
pub const IMAGE: &str = "perigee.test/busybox:1";

/// Where Debian's package busybox-static puts it.
const PROGRAM: &str = "/bin/busybox";

/// Puts the image onto the node, once.
pub fn import(cluster: &Cluster) -> Result<()> {
    static DONE: OnceLock<Result<()>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let archive = cluster.folder().join("busybox.tar");
        images::pack(&archive, IMAGE, Path::new(PROGRAM))?;
        images::import(cluster, &archive)
    });
    match done {
        Ok(()) => Ok(()),
        Err(error) => bail!("the image of busybox: {error:#}"),
    }
}

/// A container that runs a script, with all of busybox's tools on its path.
pub fn container(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": IMAGE,
        "command": ["/busybox", "sh", "-c", format!("/busybox mkdir -p /bin && /busybox --install -s /bin 2>/dev/null; {script}")],
        "env": [{"name": "PATH", "value": "/bin"}],
    })
}

/// A pod on the runtime class with one such container.
pub fn pod(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "runtimeClassName": RUNTIME_CLASS,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "containers": [container("main", script)],
        },
    })
}
