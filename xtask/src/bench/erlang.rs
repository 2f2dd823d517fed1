//! Erlang, as a peer: the same work in few lines of erlang/bench.erl, where Erlang is on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::figures::Printed;
use super::guest;

const PROGRAM: &str = include_str!("erlang/bench.erl");

pub(super) struct Erlang {
    pub(super) name: String,
    /// Where the compiled program is.
    folder: PathBuf,
}

impl Erlang {
    /// None where there is no `erl`.
    pub(super) fn find(folder: &Path) -> anyhow::Result<Option<Self>> {
        let mut version = Command::new("erl");
        version.args(["-noshell", "-eval", r#"io:put_chars(erlang:system_info(otp_release)), halt()."#]).stdin(Stdio::null());
        let Ok(version) = version.output() else { return Ok(None) };
        ensure!(version.status.success(), "erl is here, but fails: {}", String::from_utf8_lossy(&version.stderr));
        let source = folder.join("bench.erl");
        fs::write(&source, PROGRAM)?;
        let compiled = Command::new("erlc").arg("-o").args([folder, &source]).output().context("erl is here, but not erlc")?;
        ensure!(compiled.status.success(), "bench.erl: {}", String::from_utf8_lossy(&compiled.stdout));
        let name = format!("Erlang/OTP {}", String::from_utf8_lossy(&version.stdout).trim());
        Ok(Some(Self { name, folder: folder.to_owned() }))
    }

    /// Runs a function of the program with its arguments.
    pub(super) fn run(&self, args: &[&str]) -> anyhow::Result<Printed> {
        let mut erl = Command::new("erl");
        erl.args(["-noshell", "-noinput", "-pa"]).arg(&self.folder).args(["-run", "bench", "main"]).args(args);
        guest::read(erl)
    }
}
