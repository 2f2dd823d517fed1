//! `wasmtime run`, as a peer, for programs that need WASI only.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::figures::Printed;
use super::guest;
use super::machine;

pub(super) struct Wasmtime {
    pub(super) name: String,
    program: PathBuf,
    /// Where compiled modules are kept: so that compiling counts for neither.
    folder: PathBuf,
}

impl Wasmtime {
    pub(super) fn at(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let told = machine::output(Command::new(program).arg("--version"))?;
        let version = told.split_whitespace().nth(1).with_context(|| format!("{} prints {told:?}", program.display()))?;
        let own = machine::wasmtime_version()?;
        ensure!(version == own, "{} is {told}, but perigee has Wasmtime {own}", program.display());
        Ok(Self { name: format!("wasmtime {version}"), program: program.to_owned(), folder: folder.to_owned() })
    }

    pub(super) fn run(&self, module: &Path, args: &[&str]) -> anyhow::Result<Printed> {
        let compiled = self.folder.join("peer.cwasm");
        machine::output(Command::new(&self.program).arg("compile").arg(module).arg("-o").arg(&compiled))?;
        let mut run = Command::new(&self.program);
        run.args(["run", "--allow-precompiled"]).arg(&compiled).args(args);
        guest::read(run)
    }
}
