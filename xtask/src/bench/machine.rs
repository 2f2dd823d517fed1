//! Where and with what it was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::erlang::Erlang;
use super::wasmtime::Wasmtime;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Machine {
    pub(super) date: String,
    pub(super) perigee: String,
    pub(super) wasmtime: String,
    /// Who else was measured.
    pub(super) peers: Vec<String>,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Load averages before the first run: more than 0 says that the machine had other work.
    pub(super) load: String,
}

impl Machine {
    pub(super) fn look(perigee: &Path, erlang: Option<&Erlang>, wasmtime: Option<&Wasmtime>) -> anyhow::Result<Self> {
        let peer = |name: Option<&String>, otherwise: &str| name.map_or_else(|| otherwise.to_owned(), Clone::clone);
        Ok(Self {
            date: output(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?,
            perigee: output(Command::new(perigee).arg("--version"))?,
            wasmtime: wasmtime_version()?,
            peers: vec![
                peer(erlang.map(|erlang| &erlang.name), "no erl"),
                peer(wasmtime.map(|wasmtime| &wasmtime.name), "no wasmtime"),
            ],
            processor: processor(&fs::read_to_string("/proc/cpuinfo")?).unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load: fs::read_to_string("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" "),
        })
    }
}

/// The version of Wasmtime that perigee has in it.
pub(super) fn wasmtime_version() -> anyhow::Result<String> {
    let lock = fs::read_to_string(crate::repository()?.join("Cargo.lock")).context("no Cargo.lock")?;
    Ok(locked_version(&lock, "wasmtime").context("Cargo.lock has no wasmtime")?.to_owned())
}

pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?} cannot be started"))?;
    ensure!(output.status.success(), "{command:?} failed: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version of a package in a Cargo.lock.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let entry = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?.1;
    entry.split('"').next()
}

fn processor(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(": ").map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_package_itself() {
        let lock = "[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"wasmtime\"\nversion = \"48.0.8\"\n";
        assert_eq!(locked_version(lock, "wasmtime"), Some("48.0.8"));
        assert_eq!(locked_version(lock, "kube"), None);
    }

    #[test]
    fn the_processor_is_named() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: AMD EPYC\n"), Some("AMD EPYC"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
