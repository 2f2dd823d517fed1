//! The `perigee` command: runs apps on a laptop, and as the worker of a container.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use perigee_runtime::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
