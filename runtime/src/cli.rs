//! The command line.

mod cache;
mod code;
mod compile;
mod control;
mod load;
mod module;
mod run;
mod session;
mod test;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

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
  perigee run --net --dir data server.wasm  a module that may use the network and the folder data
  perigee top                               the actors of the app that runs, busiest first"
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
    #[command(flatten)]
    Actors(control::Local),
    Compile(compile::Compile),
    #[command(subcommand)]
    Cache(cache::CacheCommand),
}

impl Cli {
    pub(crate) fn run(self) -> ExitCode {
        allow_open_files();
        match self.command {
            Command::Run(run) => run.execute(),
            Command::Test(test) => test.execute(),
            Command::Worker(worker) => worker.execute(),
            Command::Actors(local) => local.execute(),
            Command::Compile(compile) => compile.execute(),
            Command::Cache(cache) => cache.execute(),
        }
    }
}

/// Sockets and files of actors are open files of this process: it takes as many as it may have. Where the system refuses
/// that, what it gave from the start has to do.
fn allow_open_files() {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map(|(_, most)| most);
    most.and_then(|most| setrlimit(Resource::RLIMIT_NOFILE, most, most)).unwrap_or_default();
}
