//! Layouts are read back as a registry's client would: every descriptor's digest and size against the blob.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Args, MODULE, USER, run};

struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn module(&self, name: &str) -> PathBuf {
        self.file(name, &[&MODULE[..], name.as_bytes()].concat())
    }

    fn pack(&self, output: &str, artifact: bool, files: &[PathBuf]) -> anyhow::Result<PathBuf> {
        let output = self.path(output);
        let tag = "localhost:5000/shop:0.1.0".parse().unwrap();
        run(&Args { output: output.clone(), tag, artifact, user: USER.to_owned(), files: files.to_vec() })?;
        Ok(output)
    }

    fn error(&self, artifact: bool, files: &[PathBuf]) -> String {
        format!("{:#}", self.pack("refused", artifact, files).unwrap_err())
    }
}

fn blob(layout: &Path, descriptor: &Descriptor) -> Vec<u8> {
    let digest = descriptor.as_digest_sha256().unwrap();
    let bytes = fs::read(layout.join("blobs/sha256").join(digest)).unwrap();
    assert_eq!(descriptor.size(), u64::try_from(bytes.len()).unwrap());
    assert_eq!(digest, super::layout::hex(&Sha256::digest(&bytes)));
    bytes
}

fn manifest(layout: &Path) -> ImageManifest {
    assert_eq!(fs::read_to_string(layout.join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = ImageIndex::from_file(layout.join("index.json")).unwrap();
    let [descriptor] = index.manifests().as_slice() else { panic!("one manifest") };
    let annotations = descriptor.annotations().as_ref().unwrap();
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "0.1.0");
    assert_eq!(annotations["io.containerd.image.name"], "localhost:5000/shop:0.1.0");
    serde_json::from_slice(&blob(layout, descriptor)).unwrap()
}

fn unpack(archive: &[u8]) -> HashMap<String, Vec<u8>> {
    let mut files = HashMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().mode().unwrap(), entry.header().mtime().unwrap()), (0o755, 0));
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes).unwrap();
        files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
    }
    files
}

#[test]
fn an_image_starts_its_first_file() {
    let fixture = Fixture::new();
    let files = [fixture.module("web.wasm"), fixture.module("cart.wasm")];
    let layout = fixture.pack("layout", false, &files).unwrap();
    let manifest = manifest(&layout);
    let [layer] = manifest.layers().as_slice() else { panic!("one layer") };
    let unpacked = unpack(&blob(&layout, layer));
    assert_eq!(unpacked.len(), 2);
    assert_eq!(unpacked["cart.wasm"], fs::read(&files[1]).unwrap());
    let config: ImageConfiguration = serde_json::from_slice(&blob(&layout, manifest.config())).unwrap();
    assert_eq!((config.os().to_string(), config.architecture().to_string()), ("linux".to_owned(), "amd64".to_owned()));
    assert_eq!(config.rootfs().diff_ids(), &[layer.digest().to_string()]);
    let process = config.config().as_ref().unwrap();
    assert_eq!(process.entrypoint().as_ref().unwrap(), &["/web.wasm"]);
    assert_eq!(process.user().as_deref(), Some(USER));
}

#[test]
fn a_binary_gives_the_image_its_machine() {
    let fixture = Fixture::new();
    let elf = |name: &str, machine: u8| fixture.file(name, &[&b"\x7fELF"[..], &[0; 14], &[machine, 0]].concat());
    let layout = fixture.pack("layout", false, &[elf("operator", 0xb7)]).unwrap();
    let config: ImageConfiguration = serde_json::from_slice(&blob(&layout, manifest(&layout).config())).unwrap();
    assert_eq!(config.architecture().to_string(), "arm64");
    let error = fixture.error(false, &[elf("a", 0xb7), elf("b", 0x3e)]);
    assert!(error.contains("a is for arm64, but b is for amd64"), "{error}");
    assert!(fixture.error(false, &[elf("c", 1)]).contains("c is a binary for a machine other than"));
    assert!(fixture.error(false, &[fixture.file("d", b"\x7fELF")]).contains("d is a binary for a machine other than"));
}

#[test]
fn an_artifact_has_a_titled_layer_for_each_module() {
    let fixture = Fixture::new();
    let files = [fixture.module("web.wasm"), fixture.module("cart.wasm")];
    let layout = fixture.pack("layout", true, &files).unwrap();
    let manifest = manifest(&layout);
    assert_eq!(manifest.config().media_type().to_string(), "application/vnd.wasm.config.v0+json");
    let config: serde_json::Value = serde_json::from_slice(&blob(&layout, manifest.config())).unwrap();
    assert_eq!((config["architecture"].as_str(), config["os"].as_str()), (Some("wasm"), Some("wasip1")));
    for (index, (layer, file)) in manifest.layers().iter().zip(&files).enumerate() {
        assert_eq!(layer.media_type().to_string(), "application/wasm");
        assert_eq!(layer.annotations().as_ref().unwrap()["org.opencontainers.image.title"], super::file_name(file).unwrap());
        assert_eq!(config["layerDigests"][index], layer.digest().to_string());
        assert_eq!(blob(&layout, layer), fs::read(file).unwrap());
    }
}

#[test]
fn same_input_makes_same_bytes_in_both_outputs() {
    let fixture = Fixture::new();
    let files = [fixture.module("web.wasm")];
    for artifact in [false, true] {
        let folder = fixture.pack("layout", artifact, &files).unwrap();
        let first = fs::read(fixture.pack("first.tar", artifact, &files).unwrap()).unwrap();
        assert_eq!(first, fs::read(fixture.pack("second.tar", artifact, &files).unwrap()).unwrap());
        for (name, bytes) in unpack(&first) {
            assert_eq!(bytes, fs::read(folder.join(&name)).unwrap(), "{name}");
        }
    }
}

#[test]
fn a_layout_is_replaced_and_another_folder_is_not() {
    let fixture = Fixture::new();
    let module = fixture.module("web.wasm");
    let layout = fixture.pack("layout", true, std::slice::from_ref(&module)).unwrap();
    fixture.pack("layout", false, std::slice::from_ref(&module)).unwrap();
    assert_eq!(fs::read_dir(layout.join("blobs/sha256")).unwrap().count(), 3, "only the second image's blobs");
    fixture.file("precious/letter", b"keep");
    let error = format!("{:#}", fixture.pack("precious", false, &[module]).unwrap_err());
    assert!(error.contains("exists and is no image layout"), "{error}");
    assert!(fixture.path("precious/letter").exists());
}

#[test]
fn bad_input_is_named() {
    let fixture = Fixture::new();
    let module = fixture.module("web.wasm");
    let missing = fixture.error(false, &[fixture.path("absent.wasm")]);
    assert!(missing.contains("failed to read") && missing.contains("absent.wasm"), "{missing}");
    let twice = fixture.error(false, &[module.clone(), fixture.module("other/web.wasm")]);
    assert!(twice.contains("two files are called web.wasm"), "{twice}");
    let text = fixture.error(true, &[module.clone(), fixture.file("notes.wasm", b"text")]);
    assert!(text.contains("notes.wasm is no WebAssembly module"), "{text}");
    let component = fixture.error(true, &[fixture.file("web.wasm", &super::COMPONENT)]);
    assert!(component.contains("web.wasm is a component"), "{component}");
    assert!(!fixture.path("refused").exists(), "a refused input leaves nothing behind");
}

#[test]
fn only_tags_are_taken_for_tags() {
    use super::layout::Reference;
    for text in ["0.1.0", "shop:1", "localhost:5000/shop:0.1.0", "_"] {
        assert!(text.parse::<Reference>().is_ok(), "{text}");
    }
    for text in ["", ":1", "shop:", "localhost:5000/shop", "-1", "a b", &"x".repeat(129)] {
        assert!(text.parse::<Reference>().unwrap_err().contains("0.1.0"), "{text}");
    }
}
