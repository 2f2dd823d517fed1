//! The crate `lunatic` as it is on crates.io, in a folder of its own where it is compiled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use perigee_e2e::built;
use perigee_e2e::cluster::{output_of, tests_folder};

/// The release whose ABI the runtime has.
const VERSION: &str = "0.14.1";
pub(crate) const TARGET: &str = "wasm32-wasip1";
/// All that the suite can be built with.
const FEATURES: &str = "json_serializer,msgpack_serializer,protobuf_serializer,sqlite";
/// A test of the crate's own links the crate twice, as what is tested and as what the test uses. Both define one function
/// that is exported by name.
const LINK_FLAGS: &str = "-Clink-arg=--allow-multiple-definition";

/// The crate's tests use the crate by its name. Its own manifest (Cargo.toml.orig) says so, but cargo leaves such a
/// dependency out when it packs a crate for the registry.
const OWN_DEPENDENCY: &str = r#"
[dev-dependencies.lunatic]
path = "."
features = ["json_serializer", "msgpack_serializer"]
"#;

/// `cargo SUBCOMMAND` in the crate's folder.
pub(crate) fn cargo(subcommand: &str) -> Result<Command> {
    static SOURCES: OnceLock<Result<PathBuf>> = OnceLock::new();
    let sources = match SOURCES.get_or_init(sources) {
        Ok(sources) => sources,
        Err(error) => anyhow::bail!("{error:#}"),
    };
    let mut command = Command::new("cargo");
    command.args([subcommand, "--target", TARGET, "--features", FEATURES]).current_dir(sources);
    command.env("CARGO_TARGET_DIR", folder().join("target")).env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", LINK_FLAGS);
    Ok(command)
}

/// Where the crate is built.
pub(crate) fn folder() -> PathBuf {
    built::target().join("conformance")
}

/// The crate's own folder.
pub(crate) fn source_folder() -> PathBuf {
    folder().join(format!("lunatic-{VERSION}"))
}

/// Copies the sources out of cargo's registry, which it checked against the lock file of the guests.
fn sources() -> Result<PathBuf> {
    let copy = source_folder();
    if copy.join("Cargo.toml").is_file() {
        return Ok(copy);
    }
    let manifest = tests_folder("guests/rust/Cargo.toml");
    let metadata =
        output_of(Command::new("cargo").args(["metadata", "--locked", "--format-version=1", "--manifest-path"]).arg(&manifest))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata without packages")?;
    let package = packages.iter().find(|package| package["name"] == "lunatic").context("the guests do not use lunatic")?;
    ensure!(package["version"] == VERSION, "the guests use lunatic {}, this is about {VERSION}", package["version"]);
    let original = Path::new(package["manifest_path"].as_str().context("no path")?).parent().context("no folder")?;
    std::fs::create_dir_all(folder())?;
    let half = copy.with_extension("new");
    std::fs::remove_dir_all(&half)
        .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    output_of(Command::new("cp").arg("-r").arg(original).arg(&half))?;
    let manifest = half.join("Cargo.toml");
    std::fs::write(&manifest, std::fs::read_to_string(&manifest)? + OWN_DEPENDENCY)?;
    std::fs::rename(&half, &copy)?;
    Ok(copy)
}
