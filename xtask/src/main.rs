//! The project's own tool: `cargo xtask <command>`. One file for each command; this one only names them.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

mod bench;
mod check;
mod generate;
mod image;
mod instructions;
mod soak;

#[derive(Parser)]
#[command(about = "Generators, checks and benchmarks of this repository")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the generated files: crds/, and the chart's copy
    Gen(generate::Args),
    /// Fail when a generated file is not what `gen` would write
    CheckGen(generate::Args),
    /// Fail on orphan sources, guest programs without a test, dead links, and leftovers of somebody's machine
    Check,
    Bench(bench::Args),
    /// Run actors under random load, and look for what is left behind
    Soak(soak::Args),
    /// Echo connections, as a peer of the benchmarks
    #[command(hide = true)]
    EchoServer,
    Instructions(instructions::Args),
    /// Pack files as an OCI image layout
    Image(image::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Gen(args) => generate::write(&args),
        Command::CheckGen(args) => generate::check(&args),
        Command::Check => check::run(),
        Command::Bench(args) => bench::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::EchoServer => bench::serve_echo(),
        Command::Instructions(args) => instructions::run(&args),
        Command::Image(args) => image::run(&args),
    }
}

/// The repository's folder: the one around the current folder that has this tool in it.
fn repository() -> anyhow::Result<PathBuf> {
    let current = std::env::current_dir().context("no current folder")?;
    let root = current.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
    root.map(PathBuf::from).with_context(|| format!("{} is not in Perigee's repository: run it from there", current.display()))
}
