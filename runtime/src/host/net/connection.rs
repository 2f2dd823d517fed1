//! What connections have in common, whatever protects them.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::Socket;

/// "No timeout" in a connection's settings.
const FOREVER: u64 = u64::MAX;

/// A connection. Clones of a guest are handles of the same one, and share its timeouts.
pub(crate) trait Connection: Socket {
    fn waits(&self) -> &Waits;

    /// Waits for bytes; 0 at the end. Nothing is lost when it is given up.
    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Waits until some bytes are taken. Nothing was when it is given up.
    fn write(&self, pieces: &[IoSlice<'_>]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Waits until the system has all that was taken.
    fn flush(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// What connections come from.
pub(crate) trait Acceptor: Socket {
    type Connection: Connection;

    /// Waits for a connection, until the app drains.
    fn accept(&self, open: &OpenStreams) -> impl Future<Output = io::Result<(Self::Connection, SocketAddr)>> + Send;
}

/// Who waits for a connection, and for how long, in milliseconds.
pub(crate) struct Waits {
    /// One reads and one writes at a time; others wait, in the order in which they came.
    pub(crate) reader: Mutex<()>,
    pub(crate) writer: Mutex<()>,
    pub(crate) read: AtomicU64,
    pub(crate) write: AtomicU64,
    pub(crate) peek: AtomicU64,
}

impl Default for Waits {
    fn default() -> Self {
        let forever = || AtomicU64::new(FOREVER);
        Self { reader: Mutex::default(), writer: Mutex::default(), read: forever(), write: forever(), peek: forever() }
    }
}

/// Runs `work` for that many milliseconds at the most; `None` when they are over.
pub(crate) async fn within<T>(milliseconds: u64, work: impl Future<Output = T>) -> Option<T> {
    if milliseconds == FOREVER {
        return Some(work.await);
    }
    tokio::time::timeout(Duration::from_millis(milliseconds), work).await.ok()
}

/// Number of connections of an app that are open: a drain waits for them.
#[derive(Clone, Default)]
pub(crate) struct OpenStreams(Arc<AtomicUsize>);

impl OpenStreams {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more, until what is returned is dropped.
    pub(super) fn opened(&self) -> OpenStream {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }
}

/// One connection that counts.
pub(super) struct OpenStream(OpenStreams);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
