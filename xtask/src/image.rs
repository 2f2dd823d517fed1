//! `cargo xtask image`: packs files as a container image, without a container engine.
//!
//! Two forms: a plain image with one layer, whose first file is the entrypoint (Wasm modules, or a static binary), and the
//! Wasm artifact of <https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>, one layer per module. Same
//! input, same bytes. Nothing is pushed here: `oras cp --from-oci-layout DIR:TAG REGISTRY/NAME:TAG` does that.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use oci_spec::image::{
    ANNOTATION_TITLE, Arch, ConfigBuilder, Descriptor, ImageConfigurationBuilder, MediaType, Os, RootFsBuilder,
};
use serde::Serialize;

use layout::{Layout, Reference};

mod layout;

/// Media types of the Wasm artifact.
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
const WASM_LAYER: &str = "application/wasm";
/// Nobody's id in distroless images: numeric, so that `runAsNonRoot` can be checked without an /etc/passwd.
const USER: &str = "65532:65532";
/// Magic number and version of a module; a component has another version.
const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// An executable's machine, at this offset of its ELF header (two bytes, little-endian).
const ELF_MACHINE: usize = 18;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder for the OCI image layout, replaced when it holds one; or a file NAME.tar with the same inside
    #[arg(long, value_name = "DIR|FILE.tar")]
    output: PathBuf,
    /// Tag of the image, or its whole name with the tag
    #[arg(long, value_name = "[NAME:]TAG")]
    tag: Reference,
    /// Write a Wasm artifact: one layer for each module
    #[arg(long)]
    artifact: bool,
    /// User and group of the image's process
    #[arg(long, value_name = "UID:GID", default_value = USER)]
    user: String,
    /// Files to pack, by their names without folders; the first is the entrypoint
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// A file on its way into an image.
struct Input {
    name: String,
    bytes: Vec<u8>,
}

/// Packs the files and writes the layout.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let inputs = read_inputs(&args.files)?;
    let layout = if args.artifact { artifact(&inputs, &args.tag)? } else { image(&inputs, &args.user, &args.tag)? };
    layout.write(&args.output)
}

fn read_inputs(files: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    let mut inputs: Vec<Input> = Vec::new();
    for path in files {
        let name = file_name(path)?;
        if inputs.iter().any(|other| other.name == name) {
            bail!("two files are called {name}: an image holds them side by side, so rename one");
        }
        let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        inputs.push(Input { name, bytes });
    }
    Ok(inputs)
}

fn file_name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no name that an image could hold", path.display()))?.to_owned())
}

/// A plain image: one layer with all files, and a configuration that starts the first.
fn image(inputs: &[Input], user: &str, reference: &Reference) -> anyhow::Result<Layout> {
    let first = inputs.first().context("no files")?;
    let mut layout = Layout::default();
    let files = inputs.iter().map(|input| (input.name.as_str(), input.bytes.as_slice()));
    let layer = layout.add(MediaType::ImageLayer, layout::tar(files)?);
    let process = ConfigBuilder::default().user(user).entrypoint(vec![format!("/{}", first.name)]).working_dir("/").build()?;
    let config = ImageConfigurationBuilder::default()
        .architecture(architecture(inputs)?)
        .os(Os::Linux)
        .config(process)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(vec![layer.digest().to_string()]).build()?)
        .build()?;
    let config = layout.add_json(MediaType::ImageConfig, &config)?;
    layout.finish(config, vec![layer], reference)?;
    Ok(layout)
}

/// The machine that the binaries are for. An image of modules alone runs anywhere; it says amd64, since a kubelet takes
/// an image only when its platform is the node's.
fn architecture(inputs: &[Input]) -> anyhow::Result<Arch> {
    let mut found: Option<(Arch, &str)> = None;
    for input in inputs.iter().filter(|input| input.bytes.starts_with(b"\x7fELF")) {
        let arch = match input.bytes.get(ELF_MACHINE..ELF_MACHINE + 2) {
            Some([0x3e, 0]) => Arch::Amd64,
            Some([0xb7, 0]) => Arch::ARM64,
            _ => bail!("{} is a binary for a machine other than amd64 and arm64", input.name),
        };
        match &found {
            Some((other, name)) if *other != arch => bail!("{name} is for {other}, but {} is for {arch}", input.name),
            _ => found = Some((arch, &input.name)),
        }
    }
    Ok(found.map_or(Arch::Amd64, |(arch, _)| arch))
}

/// Configuration of a Wasm artifact. The fields and their order are the specification's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig {
    /// Required there; always the epoch, so that the same modules make the same artifact.
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    layer_digests: Vec<String>,
}

/// A Wasm artifact: each module is a layer, found by its title.
fn artifact(inputs: &[Input], reference: &Reference) -> anyhow::Result<Layout> {
    let mut layout = Layout::default();
    let mut layers = Vec::new();
    for input in inputs {
        check_module(input)?;
        let mut layer = layout.add(MediaType::from(WASM_LAYER), input.bytes.clone());
        layer.set_annotations(Some([(ANNOTATION_TITLE.to_owned(), input.name.clone())].into()));
        layers.push(layer);
    }
    let layer_digests = layers.iter().map(|layer: &Descriptor| layer.digest().to_string()).collect();
    let config = WasmConfig { created: "1970-01-01T00:00:00Z", architecture: "wasm", os: "wasip1", layer_digests };
    let config = layout.add_json(MediaType::from(WASM_CONFIG), &config)?;
    layout.finish(config, layers, reference)?;
    Ok(layout)
}

fn check_module(input: &Input) -> anyhow::Result<()> {
    let name = &input.name;
    if input.bytes.starts_with(&COMPONENT) {
        bail!("{name} is a component: only modules are packed as an artifact so far; pack it without --artifact");
    }
    ensure!(
        input.bytes.starts_with(&MODULE),
        "{name} is no WebAssembly module: an artifact holds nothing else; any file can be packed without --artifact"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
