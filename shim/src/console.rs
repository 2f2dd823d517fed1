//! The socket over which the OCI runtime hands out the terminal that it made for a process.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use containerd_shim::asynchronous::io::Pty;
use rustix::{
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    termios::Winsize,
};
use tokio::{io::Interest, net::UnixListener};

use crate::error::ShimError;

/// The runtime sends the terminal before it ends, so what has not come soon after that will not come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A listening socket, removed when dropped.
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Console {
    /// In a folder of its own that only root can enter. Not in the bundle: its path is longer than a socket's may be
    /// (108 bytes).
    pub(crate) fn bind() -> Result<Self, ShimError> {
        let folder = tempfile::Builder::new().prefix("perigee-pty-").tempdir().map_err(ShimError::io("console socket"))?;
        let path = folder.path().join("pty.sock");
        let listener = UnixListener::bind(&path).map_err(ShimError::io("console socket"))?;
        Ok(Self { listener, path, _folder: folder })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The terminal's master end. Called after the runtime has ended.
    pub(crate) async fn receive(self) -> Result<Pty, ShimError> {
        let received = tokio::time::timeout(TIMEOUT, async {
            let (stream, _) = self.listener.accept().await?;
            stream.async_io(Interest::READABLE, || receive_descriptor(&stream)).await
        });
        let master = received.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let master = master.map_err(ShimError::io("receiving the terminal from the runtime"))?;
        Pty::new(File::from(master)).map_err(ShimError::library("the terminal"))
    }
}

fn receive_descriptor(stream: &tokio::net::UnixStream) -> io::Result<OwnedFd> {
    // Next to the descriptor comes the name of the terminal, which nobody needs.
    let mut name = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut name)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no descriptor came with the message"))
}

/// Sets the size that the terminal tells its process.
pub(crate) fn resize(terminal: &Pty, columns: u32, rows: u32) -> Result<(), ShimError> {
    let size = |cells: u32| u16::try_from(cells).unwrap_or(u16::MAX);
    let winsize = Winsize { ws_col: size(columns), ws_row: size(rows), ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, winsize).map_err(|error| ShimError::io("resizing the terminal")(error.into()))
}
