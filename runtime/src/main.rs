//! The `perigee` command: runs apps on a laptop, and as the worker of a container.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
