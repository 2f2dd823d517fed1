//! A module is compiled once on a node, however many pods run it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use perigee_e2e::cluster::output_of;
use perigee_e2e::ns::with_perigee;
use perigee_e2e::objects::wasm_pod;
use perigee_e2e::{built, images};
use serde_json::json;

/// Where the shim keeps compiled code unless its options say otherwise.
const CACHE: &str = "/var/lib/perigee/cache";

/// The guest `hello` with a custom section of its own, so that nobody has compiled it yet.
fn new_module(folder: &Path, section: &str) -> Result<PathBuf> {
    let mut module = fs::read(built::guest("hello")?)?;
    // Of the binary format: a section with the id 0, its size, and a name with its length; all below 128.
    let size = u8::try_from(section.len() + 1)?;
    module.extend([0, size, size - 1]);
    module.extend(section.as_bytes());
    fs::create_dir_all(folder)?;
    let path = folder.join("hello.wasm");
    fs::write(&path, module)?;
    Ok(path)
}

/// The files with the code of a module, by inode: an entry that is made again is another file.
fn entries(module: &Path) -> Result<Vec<u64>> {
    let digest = output_of(Command::new("sha256sum").arg(module))?;
    let digest = digest.split(' ').next().context("sha256sum prints a digest")?.to_owned();
    let entries = fs::read_dir(CACHE).with_context(|| CACHE.to_owned())?.collect::<Result<Vec<_>, _>>()?;
    let of_module = entries.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(&digest));
    of_module.map(|entry| entry.metadata().map(|data| data.ino()).map_err(Into::into)).collect()
}

#[test]
fn a_second_pod_of_a_module_starts_without_compiling() -> Result<()> {
    with_perigee(|namespace| {
        let folder = namespace.cluster.folder().join(format!("module-{}", namespace.name));
        let module = new_module(&folder, &namespace.name)?;
        ensure!(entries(&module)?.is_empty());
        let image = images::packed(namespace.cluster, "e2e/cached", None, std::slice::from_ref(&module), &[])?;
        let mut seen = Vec::new();
        for name in ["first", "second"] {
            let mut pod = wasm_pod(name, &image, &["/hello.wasm"]);
            pod["spec"]["containers"][0]["env"] = json!([{"name": "PERIGEE_LOG", "value": "debug"}]);
            namespace.apply(&pod)?;
            namespace.wait_for_phase(name, "Succeeded")?;
            let log = namespace.logs(name)?;
            ensure!(log.contains("mapped the compiled code of"), "{name} compiled by itself:\n{log}");
            seen.push(entries(&module)?);
        }
        ensure!(seen[0].len() == 1 && seen[0] == seen[1], "{seen:?}");
        fs::remove_dir_all(&folder)?;
        Ok(())
    })
}

/// What `oras push` makes of a module: the tool that people have, not one of ours.
#[test]
fn artifacts_of_every_layer_type_run_as_oras_pushes_them() -> Result<()> {
    const CONFIG: &str = "application/vnd.wasm.config.v0+json";
    const LAYERS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];
    with_perigee(|namespace| {
        let folder = namespace.cluster.folder().join(format!("push-{}", namespace.name));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.json"), r#"{"architecture": "wasm", "os": "wasip1", "layerDigests": []}"#)?;
        for (number, layer) in LAYERS.iter().enumerate() {
            // Two that differ, since for the kubelet an image is its config.
            new_module(&folder, &format!("{}-{number}", namespace.name))?;
            fs::write(
                folder.join("config.json"),
                format!(r#"{{"architecture": "wasm", "os": "wasip1", "author": "{number}"}}"#),
            )?;
            let image = format!("{}/e2e/oras:{}-{number}", perigee_e2e::cluster::REGISTRY, namespace.name);
            let mut push = namespace.cluster.command("oras");
            push.current_dir(&folder).args(["push", "--no-tty", "--plain-http", "--config", &format!("config.json:{CONFIG}")]);
            output_of(push.args([&image, &format!("hello.wasm:{layer}")]))?;
            let name = format!("oras-{number}");
            namespace.apply(&wasm_pod(&name, &image, &["/hello.wasm", "pushed"]))?;
            namespace.wait_for_phase(&name, "Succeeded")?;
            let log = namespace.logs(&name)?;
            ensure!(log.contains("arg 1: pushed"), "{layer}: {log}");
        }
        fs::remove_dir_all(&folder)?;
        Ok(())
    })
}
