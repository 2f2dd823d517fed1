//! Images: packed by the project, pushed to the cluster's registry or imported straight onto the node.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::built;
use crate::cluster::{Cluster, REGISTRY, output_of, tests_folder};

/// The native test program (`tests/cluster/probe`), which up.sh imports onto the node.
pub const PROBE: &str = "perigee.test/probe:1";

/// Every guest that can run, one module each; a pod's command or a class names the one that it means.
const RUNNABLE: [&str; 19] = [
    "c_hello",
    "c_spin",
    "class_child",
    "connect",
    "crash",
    "exit_code",
    "file",
    "grow",
    "hello",
    "idle",
    "listen",
    "many_actors",
    "one_way",
    "ping_pong",
    "sleeper_vs_spinners",
    "spawn_class",
    "spawn_function",
    "spawn_reply",
    "talk",
];

/// How modules are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// An OCI image like any other, whose one layer holds the files.
    Image,
    /// A Wasm artifact: one layer per module, no file system.
    Artifact,
}

/// The image with all guests that can run.
pub fn guests(cluster: &Cluster) -> Result<String> {
    wasm(cluster, "guests", &RUNNABLE, Form::Image)
}

/// An image with these guests, in the registry. Returns the name to pull it by.
pub fn wasm(cluster: &Cluster, name: &str, guests: &[&str], form: Form) -> Result<String> {
    let files = guests.iter().map(|guest| built::guest(guest)).collect::<Result<Vec<_>>>()?;
    let arguments: &[&str] = if form == Form::Artifact { &["--artifact"] } else { &[] };
    packed(cluster, &format!("e2e/{name}"), None, &files, arguments)
}

/// An image with these files, in the registry, packed by `cargo xtask image` with further arguments. Without a tag it
/// gets one that follows from its contents, so that a node that has it from an earlier run has the right one.
pub fn packed(cluster: &Cluster, name: &str, tag: Option<&str>, files: &[PathBuf], arguments: &[&str]) -> Result<String> {
    // Held while packing: a second test that wants the same image waits for it.
    static KNOWN: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let tag = match tag {
        Some(tag) => tag.to_owned(),
        None => digest(files, arguments)?,
    };
    match known.get_or_insert_default().entry(format!("{name}:{tag}")) {
        Entry::Occupied(known) => Ok(known.get().clone()),
        Entry::Vacant(place) => {
            let layout = cluster.folder().join("layouts").join(name).join(&tag);
            let mut pack = Command::new(built::program("xtask")?);
            pack.args(["image", "--tag", &tag, "--output"]).arg(&layout).args(arguments).args(files);
            fs::create_dir_all(cluster.folder().join("layouts").join(name))?;
            output_of(&mut pack)?;
            let pushed = push(cluster, &layout, &tag, place.key())?;
            Ok(place.insert(pushed).clone())
        }
    }
}

/// Stable within one build of the tests, and different for different contents: enough for a tag.
fn digest(files: &[PathBuf], arguments: &[&str]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    arguments.hash(&mut hasher);
    for file in files {
        file.file_name().hash(&mut hasher);
        fs::read(file).with_context(|| format!("reading {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Makes the node forget an image, so that the next pod pulls it.
pub fn forget(cluster: &Cluster, image: &str) -> Result<()> {
    cluster.ctr(&["images", "rm", "--sync", image]).map(drop)
}

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
