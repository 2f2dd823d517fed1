//! `cargo xtask soak`: actors under random load, for as long as one likes. It needs the guest programs.

use std::env;
use std::process::Command;

use anyhow::{Context as _, ensure};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
}

/// Builds and runs it; fails when it leaves anything behind.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, as everything else here: another choice of packages would compile Wasmtime anew.
    cargo.args(["test", "--release", "--locked", "--workspace", "--test", "soak"]);
    cargo.env("PERIGEE_SOAK_SECONDS", (args.minutes * 60).to_string());
    let status = cargo.current_dir(crate::repository()?).status().context("cargo cannot be started")?;
    ensure!(status.success(), "the soak failed: {status}");
    Ok(())
}
