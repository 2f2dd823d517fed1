//! TLS listeners and connections as guests hold them: a session of rustls over a TCP connection.
//!
//! A listener gives out a connection before its handshake, which whoever first reads or writes carries out. So a client that
//! is slow, or none of TLS at all, is a matter of the actor that serves it, and never of those that wait to be accepted.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Acceptor, Connection, Listener, OpenStreams, Stream, Waits};

/// Encrypted bytes that wait for the system to take them: a record.
const UNSENT_BYTES: usize = 16 << 10;

/// A listener.
pub(crate) struct TlsListener {
    listener: Listener,
    config: Arc<ServerConfig>,
}

impl TlsListener {
    pub(crate) fn new(listener: Listener, config: Arc<ServerConfig>) -> Self {
        Self { listener, config }
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_address()
    }
}

impl Acceptor for TlsListener {
    type Connection = TlsStream;

    async fn accept(&self, open: &OpenStreams) -> io::Result<(TlsStream, SocketAddr)> {
        let (tcp, peer) = self.listener.accept(open).await?;
        let session = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        Ok((TlsStream::new(tcp, session.into()), peer))
    }
}

/// A connection.
pub(crate) struct TlsStream {
    tcp: Stream,
    session: Mutex<rustls::Connection>,
    /// One carries out the handshake, and others wait: who took the last bytes of it must be who goes on.
    handshake: tokio::sync::Mutex<()>,
}

impl TlsStream {
    fn new(tcp: Stream, mut session: rustls::Connection) -> Self {
        session.set_buffer_limit(Some(UNSENT_BYTES));
        Self { tcp, session: Mutex::new(session), handshake: tokio::sync::Mutex::default() }
    }

    /// A client's connection, after its handshake.
    pub(crate) async fn connect(tcp: Stream, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let stream = Self::new(tcp, session.into());
        stream.handshake().await?;
        Ok(stream)
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_address()
    }

    fn session(&self) -> MutexGuard<'_, rustls::Connection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the handshake is done. One that failed fails again.
    async fn handshake(&self) -> io::Result<()> {
        if !self.session().is_handshaking() {
            return Ok(());
        }
        let _turn = self.handshake.lock().await;
        loop {
            let awaited = {
                let mut session = self.session();
                let sent = send(self.tcp.tcp(), &mut session)?;
                if !session.is_handshaking() {
                    return Ok(());
                }
                match sent {
                    false => Interest::WRITABLE,
                    true if receive(self.tcp.tcp(), &mut session)? => continue,
                    true => Interest::READABLE,
                }
            };
            self.tcp.tcp().ready(awaited).await?;
        }
    }
}

impl Connection for TlsStream {
    fn waits(&self) -> &Waits {
        self.tcp.waits()
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.handshake().await?;
        loop {
            let awaited = {
                let mut session = self.session();
                // What a peer that takes nothing more has sent can still be read.
                let sent = send(self.tcp.tcp(), &mut session).unwrap_or(true);
                match session.reader().read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return done,
                }
                if receive(self.tcp.tcp(), &mut session)? {
                    continue;
                }
                if sent { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE }
            };
            self.tcp.tcp().ready(awaited).await?;
        }
    }

    async fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.handshake().await?;
        self.flush().await?;
        let mut session = self.session();
        let taken = session.writer().write_vectored(pieces)?;
        send(self.tcp.tcp(), &mut session)?;
        Ok(taken)
    }

    async fn flush(&self) -> io::Result<()> {
        while !send(self.tcp.tcp(), &mut self.session())? {
            self.tcp.tcp().writable().await?;
        }
        Ok(())
    }
}

/// The peer is told that nothing was cut off, if the system takes that at once.
impl Drop for TlsStream {
    fn drop(&mut self) {
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        session.send_close_notify();
        drop(send(self.tcp.tcp(), session));
    }
}

/// Sends what the session has for the peer. `false`: the system takes no more now.
fn send(tcp: &TcpStream, session: &mut rustls::Connection) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut Wire(tcp)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            done => done?,
        };
    }
    Ok(true)
}

/// Takes what has come from the peer. `false`: nothing has. A session that failed fails again.
fn receive(tcp: &TcpStream, session: &mut rustls::Connection) -> io::Result<bool> {
    let came = match session.read_tls(&mut Wire(tcp)) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Ok(0) if session.is_handshaking() => {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection during the handshake"));
        }
        done => done.map(|_| true)?,
    };
    match session.process_new_packets() {
        Ok(_) => Ok(came),
        Err(error) => {
            // The peer is told what it did wrong, if it listens.
            drop(send(tcp, session));
            Err(io::Error::new(io::ErrorKind::InvalidData, error))
        }
    }
}

/// A connection without waiting, as rustls wants it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
