//! `perigee cache`: what `perigee run` keeps of compiled code.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Subcommand;
use perigee_cache::{Cache, DEFAULT_LIMIT};

use super::code;
use super::run::complain;
use super::session::CANNOT_RUN;

/// Show or remove the compiled code that `perigee run` keeps
#[derive(Subcommand)]
pub(super) enum CacheCommand {
    /// List the modules: digest, bytes of code, hours since the last use
    Ls,
    /// Remove all that is not in use
    Clear,
}

impl CacheCommand {
    pub(super) fn execute(self) -> ExitCode {
        match self.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("{error:#}"), CANNOT_RUN),
        }
    }

    fn run(self) -> anyhow::Result<()> {
        let folder = code::folder().context("there is neither HOME nor XDG_CACHE_HOME")?;
        let cache = Cache::open(&folder, DEFAULT_LIMIT)?;
        let mut stdout = std::io::stdout().lock();
        match self {
            Self::Ls => {
                writeln!(stdout, "{}", cache.folder().display())?;
                for entry in cache.list()? {
                    let hours = SystemTime::now().duration_since(entry.used).unwrap_or_default().as_secs() / 3600;
                    writeln!(stdout, "sha256:{}  {:>11}  {hours:>6} h", entry.module, entry.bytes)?;
                }
            }
            Self::Clear => {
                let (removed, used) = cache.clear()?;
                writeln!(stdout, "removed {removed}, in use {used}")?;
            }
        }
        Ok(())
    }
}
