//! The control socket that a worker was started with.

use std::io;
use std::os::fd::{FromRawFd as _, RawFd};
use std::os::unix::net::UnixListener;

use anyhow::{Context as _, ensure};
use nix::sys::socket::{UnixAddr, getsockname};

/// Takes over the listening socket with that number.
///
/// Called before anything else is opened: the number can belong to nothing but what was inherited.
#[expect(unsafe_code, reason = "a descriptor that is inherited is known by its number only")]
pub(in crate::cli) fn inherited(number: RawFd) -> anyhow::Result<UnixListener> {
    ensure!(number > 2, "--control-fd {number}: the first three are the streams");
    getsockname::<UnixAddr>(number)
        .map_err(io::Error::from)
        .with_context(|| format!("--control-fd {number}: this is no Unix socket that was inherited"))?;
    // SAFETY: it is open, as the call above has shown, and nothing in this process has opened or taken it.
    let listener = unsafe { UnixListener::from_raw_fd(number) };
    listener.set_nonblocking(true).context("the control socket")?;
    Ok(listener)
}
