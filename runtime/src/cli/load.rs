//! From files to an app: manifests, and the modules that their classes name.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use perigee_spec::{AppSpec, Manifest};

/// The first bytes of a WebAssembly binary, of whatever kind and version.
const WASM_MAGIC: &[u8] = b"\0asm";

/// Whether a file is WebAssembly, whatever its name.
pub(super) fn is_wasm(path: &Path) -> anyhow::Result<bool> {
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    file.take(4).read_to_end(&mut start).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(start == WASM_MAGIC)
}

/// Reads a manifest.
pub(super) fn manifest(path: &Path) -> anyhow::Result<AppSpec> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let name = path.display();
    let mut documents = serde_yaml::Deserializer::from_str(&text);
    let first = documents.next().with_context(|| format!("{name}: the file is empty: write an ActorApp"))?;
    let manifest = Manifest::parse(first).with_context(|| name.to_string())?;
    if documents.next().is_some() {
        bail!("{name}: there is more than one document: write one ActorApp to a file");
    }
    manifest.app().with_context(|| name.to_string())
}

/// The file of each class's module, in the folder of the modules.
pub(super) fn modules(app: &AppSpec, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let classes = app.actors().iter();
    classes.map(|class| module(class.name.as_str(), class.module.as_deref(), folder)).collect()
}

fn module(class: &str, module: Option<&str>, folder: &Path) -> anyhow::Result<PathBuf> {
    let Some(module) = module else { return only_module(class, folder) };
    let path = folder.join(module.trim_start_matches('/'));
    if path.is_file() {
        return Ok(path);
    }
    let found = names(&wasm_files(folder)?);
    bail!("class {class:?}: there is no module {}: the folder has {found} (--modules names another folder)", path.display());
}

fn only_module(class: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let files = wasm_files(folder)?;
    match files.as_slice() {
        [only] => Ok(only.clone()),
        _ => bail!(
            "class {class:?} names no module, which takes exactly one .wasm file in {}: it has {}",
            folder.display(),
            names(&files)
        ),
    }
}

fn wasm_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("the folder of modules {} cannot be read", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    Ok(files)
}

fn names(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
