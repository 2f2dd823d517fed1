//! TCP listeners and connections as guests hold them.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connection::OpenStream;
use super::{Acceptor, Connection, OpenStreams, Waits};

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
}

impl Acceptor for Listener {
    type Connection = Stream;

    async fn accept(&self, open: &OpenStreams) -> io::Result<(Stream, SocketAddr)> {
        tokio::select! {
            biased;
            () = self.draining.cancelled() => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the app is shutting down")),
            accepted = self.listener.accept() => accepted.map(|(tcp, peer)| (Stream::new(tcp, open), peer)),
        }
    }
}

/// A connection.
pub(crate) struct Stream {
    tcp: TcpStream,
    waits: Waits,
    _open: OpenStream,
}

impl Stream {
    fn new(tcp: TcpStream, open: &OpenStreams) -> Self {
        Self { tcp, waits: Waits::default(), _open: open.opened() }
    }

    pub(crate) async fn connect(address: SocketAddr, open: &OpenStreams) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(address).await?, open))
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    pub(crate) fn peer_address(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    /// As [`Connection::read`], but leaves the bytes to be read again.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.peek(buffer).await
    }

    /// What there is below a TLS session.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Connection for Stream {
    fn waits(&self) -> &Waits {
        &self.waits
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.async_io(Interest::READABLE, || self.tcp.try_read(buffer)).await
    }

    async fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.async_io(Interest::WRITABLE, || self.tcp.try_write_vectored(pieces)).await
    }

    /// The system has what was taken.
    async fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
