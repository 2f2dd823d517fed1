//! Where the programs and guests are that `make build guests` has built before the tests.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Folder with the built programs, when it is not the workspace's own.
const PROGRAMS_VARIABLE: &str = "PERIGEE_BIN";

/// Folder with all that cargo builds, as cargo has it.
const TARGET_VARIABLE: &str = "CARGO_TARGET_DIR";

/// The folder with the programs.
pub fn programs() -> PathBuf {
    match std::env::var_os(PROGRAMS_VARIABLE) {
        Some(folder) => folder.into(),
        None => target().join("bin"),
    }
}

/// A built program.
pub fn program(name: &str) -> Result<PathBuf> {
    existing(programs().join(name))
}

/// The module of a guest (`tests/guests/guests.txt`).
pub fn guest(name: &str) -> Result<PathBuf> {
    existing(target().join("guests").join(format!("{name}.wasm")))
}

/// The folder that cargo builds into.
pub fn target() -> PathBuf {
    let folder = std::env::var_os(TARGET_VARIABLE).map_or_else(|| "target".into(), PathBuf::from);
    // A relative one is meant from where make was called.
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("").join(folder)
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.is_file(), "{} is missing: run make build guests", path.display());
    Ok(path)
}
