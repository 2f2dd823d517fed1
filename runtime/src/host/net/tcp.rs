//! TCP listeners and connections as guests hold them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// "No timeout" in a stream's settings.
const FOREVER: u64 = u64::MAX;

/// A listener, until the app drains.
pub(crate) struct Listener {
    listener: TcpListener,
    draining: CancellationToken,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr, draining: CancellationToken) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, draining })
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(crate) async fn accept(&self, open: &OpenStreams) -> io::Result<(Stream, SocketAddr)> {
        tokio::select! {
            biased;
            () = self.draining.cancelled() => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the app is shutting down")),
            accepted = self.listener.accept() => accepted.map(|(stream, peer)| (Stream::new(stream, open), peer)),
        }
    }
}

/// Number of connections of an app that are open: a drain waits for them.
#[derive(Clone, Default)]
pub(crate) struct OpenStreams(Arc<AtomicUsize>);

impl OpenStreams {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection. Clones of a guest are handles of the same one, and share its timeouts.
pub(crate) struct Stream {
    tcp: TcpStream,
    /// One reads and one writes at a time; others wait, in the order in which they came.
    pub(crate) reader: Mutex<()>,
    pub(crate) writer: Mutex<()>,
    /// In milliseconds.
    pub(crate) read_timeout: AtomicU64,
    pub(crate) write_timeout: AtomicU64,
    pub(crate) peek_timeout: AtomicU64,
    open: OpenStreams,
}

impl Stream {
    fn new(tcp: TcpStream, open: &OpenStreams) -> Self {
        open.0.fetch_add(1, Ordering::Relaxed);
        let forever = || AtomicU64::new(FOREVER);
        Self {
            tcp,
            reader: Mutex::default(),
            writer: Mutex::default(),
            read_timeout: forever(),
            write_timeout: forever(),
            peek_timeout: forever(),
            open: open.clone(),
        }
    }

    pub(crate) async fn connect(address: SocketAddr, open: &OpenStreams) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(address).await?, open))
    }

    pub(crate) fn peer_address(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.try_read(buffer)
    }

    pub(crate) fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        use nix::sys::socket::{MsgFlags, recv};
        let fd = std::os::fd::AsRawFd::as_raw_fd(&self.tcp);
        self.tcp.try_io(tokio::io::Interest::READABLE, || recv(fd, buffer, MsgFlags::MSG_PEEK).map_err(io::Error::from))
    }

    pub(crate) fn try_write(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.try_write_vectored(buffers)
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.tcp.readable().await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.tcp.writable().await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `work` for that many milliseconds at the most; `None` when they are over.
pub(crate) async fn within<T>(milliseconds: u64, work: impl Future<Output = T>) -> Option<T> {
    if milliseconds == FOREVER {
        return Some(work.await);
    }
    tokio::time::timeout(Duration::from_millis(milliseconds), work).await.ok()
}
