//! The project's own tool: `cargo xtask <command>`. One file for each command; this one only names them.

use clap::{Parser, Subcommand};

mod generate;
mod image;

#[derive(Parser)]
#[command(about = "Generators and checks of this repository")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the generated files: crds/, and the chart's copy
    Gen,
    /// Fail when a generated file is not what `gen` would write
    CheckGen,
    /// Pack files as an OCI image layout
    Image(image::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Gen => generate::write(),
        Command::CheckGen => generate::check(),
        Command::Image(args) => image::run(&args),
    }
}
