//! The OCI image layout: blobs by digest, and an index that names one manifest
//! (<https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>). Nothing in it depends on the time, the
//! machine or the user.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, ensure};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageIndexBuilder, ImageManifestBuilder, MediaType, OciLayoutBuilder, Sha256Digest,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The marker file of a layout.
const MARKER: &str = "oci-layout";
/// Under this name containerd imports an image; other tools read only the tag.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Name of an image in its layout: a tag, or a name with a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    name: Option<String>,
    tag: String,
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) => (Some(name), tag),
            None => (None, text),
        };
        // As <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests> has it.
        let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = tag.len() <= 128
            && tag.bytes().next().is_some_and(first)
            && tag.bytes().all(|b| first(b) || matches!(b, b'.' | b'-'))
            && name.is_none_or(|name| !name.is_empty());
        if !good {
            return Err(format!("{text:?} is no tag: write one such as \"0.1.0\" or \"localhost:5000/shop:0.1.0\""));
        }
        Ok(Self { name: name.map(|_| text.to_owned()), tag: tag.to_owned() })
    }
}

/// A layout in memory.
#[derive(Default)]
pub(super) struct Layout {
    /// By digest, in hexadecimal without a prefix.
    blobs: BTreeMap<String, Vec<u8>>,
    index: Vec<u8>,
}

impl Layout {
    /// Adds a blob.
    pub(super) fn add(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
        let digest = hex(&Sha256::digest(&bytes));
        let size = u64::try_from(bytes.len()).expect("usize is at most 64 bits");
        self.blobs.insert(digest.clone(), bytes);
        Descriptor::new(media_type, size, digest.parse::<Sha256Digest>().expect("64 hexadecimal digits"))
    }

    /// Adds a JSON document as a blob.
    pub(super) fn add_json<T: Serialize>(&mut self, media_type: MediaType, document: &T) -> anyhow::Result<Descriptor> {
        Ok(self.add(media_type, json(document)?))
    }

    /// Adds the manifest, and the index that names it.
    pub(super) fn finish(&mut self, config: Descriptor, layers: Vec<Descriptor>, reference: &Reference) -> anyhow::Result<()> {
        let manifest = ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(layers)
            .build()?;
        let mut manifest = self.add_json(MediaType::ImageManifest, &manifest)?;
        let name = reference.name.as_ref().map(|name| (CONTAINERD_NAME.to_owned(), name.clone()));
        let tag = (ANNOTATION_REF_NAME.to_owned(), reference.tag.clone());
        manifest.set_annotations(Some(name.into_iter().chain([tag]).collect()));
        let index = ImageIndexBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![manifest])
            .build()?;
        self.index = json(&index)?;
        Ok(())
    }

    /// Writes it: as an archive when `output` ends in `.tar`, else as a folder.
    pub(super) fn write(&self, output: &Path) -> anyhow::Result<()> {
        let failed = || format!("failed to write {}", output.display());
        if output.extension().is_some_and(|extension| extension == "tar") {
            let files = self.files()?;
            let archive = tar(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))?;
            return fs::write(output, archive).with_context(failed);
        }
        make_room(output)?;
        fs::create_dir_all(output.join("blobs/sha256")).with_context(failed)?;
        for (name, bytes) in self.files()? {
            fs::write(output.join(name), bytes).with_context(failed)?;
        }
        Ok(())
    }

    /// All files by their paths in the layout.
    fn files(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let marker = json(&OciLayoutBuilder::default().image_layout_version("1.0.0").build()?)?;
        let mut files: Vec<_> =
            self.blobs.iter().map(|(digest, bytes)| (format!("blobs/sha256/{digest}"), bytes.clone())).collect();
        files.push(("index.json".to_owned(), self.index.clone()));
        files.push((MARKER.to_owned(), marker));
        Ok(files)
    }
}

/// Removes an earlier layout, and nothing else.
fn make_room(output: &Path) -> anyhow::Result<()> {
    if !output.exists() || fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none()) {
        return Ok(());
    }
    ensure!(
        output.join(MARKER).is_file(),
        "{} exists and is no image layout: choose another --output, or remove it",
        output.display()
    );
    fs::remove_dir_all(output).with_context(|| format!("failed to replace {}", output.display()))
}

/// An uncompressed archive of executable files that belong to root. Compressing is left out: a registry's client does
/// it when it matters, and the same bytes come out of every version of every library.
pub(super) fn tar<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> anyhow::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(bytes.len()).expect("usize is at most 64 bits"));
        header.set_mode(0o755);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, name, bytes).with_context(|| format!("failed to archive {name}"))?;
    }
    Ok(builder.into_inner()?)
}

/// A document with its keys in one order: annotations are hash maps in memory.
fn json<T: Serialize>(document: &T) -> anyhow::Result<Vec<u8>> {
    let mut value = serde_json::to_value(document)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
