//! The command line.

mod cache;
mod code;
mod compile;
mod load;
mod module;
mod run;
mod session;
mod test;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run WebAssembly actors.
#[derive(Parser)]
#[command(
    name = "perigee",
    version,
    about,
    max_term_width = 110,
    after_help = "\
Examples:
  perigee run app.yaml                      an app, with the rules of its manifest
  perigee run hello.wasm one two            a module, with two arguments
  perigee run --net --dir data server.wasm  a module that may use the network and the folder data"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Test(test::Test),
    Worker(worker::Worker),
    Compile(compile::Compile),
    #[command(subcommand)]
    Cache(cache::CacheCommand),
}

impl Cli {
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Run(run) => run.execute(),
            Command::Test(test) => test.execute(),
            Command::Worker(worker) => worker.execute(),
            Command::Compile(compile) => compile.execute(),
            Command::Cache(cache) => cache.execute(),
        }
    }
}
