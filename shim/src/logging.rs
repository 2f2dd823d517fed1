//! The shim's own log: the FIFO `log` in the bundle of its pod, which containerd copies into its own log.
//!
//! It is opened for reading too, so that nothing is lost while containerd restarts, and never waited for: the shim has one
//! thread, and what is beyond a full FIFO is dropped.

use std::{fs::File, io};

use containerd_shim::logger::{FifoLogger, LOG_ENV};
use log::LevelFilter;
use rustix::fs::{Mode, OFlags};

/// In the folder that containerd starts the server in.
const PATH: &str = "log";

/// Logs from now on; with `debug` as much as containerd does then.
pub(crate) fn start(debug: bool) -> io::Result<()> {
    let file = rustix::fs::open(PATH, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    log::set_boxed_logger(Box::new(FifoLogger::with_file(File::from(file)))).map_err(io::Error::other)?;
    let level = std::env::var(LOG_ENV).ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Info);
    log::set_max_level(if debug { level.max(LevelFilter::Debug) } else { level });
    Ok(())
}
