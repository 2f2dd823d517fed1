//! UDP sockets as guests hold them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// Senders of a socket that are remembered, so that they can be answered.
const MAX_SENDERS: usize = 256;

/// A socket. Clones of a guest are handles of the same one.
pub(crate) struct UdpSocket {
    udp: tokio::net::UdpSocket,
    /// Who sent to it, the latest last.
    senders: Mutex<VecDeque<SocketAddr>>,
}

impl UdpSocket {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { udp: tokio::net::UdpSocket::bind(address).await?, senders: Mutex::default() })
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.udp.connect(address).await
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    pub(crate) fn peer_address(&self) -> io::Result<SocketAddr> {
        self.udp.peer_addr()
    }

    /// Sends a datagram, without an address to where the socket is connected.
    pub(crate) async fn send(&self, datagram: &[u8], address: Option<SocketAddr>) -> io::Result<usize> {
        match address {
            Some(address) => self.udp.send_to(datagram, address).await,
            None => self.udp.send(datagram).await,
        }
    }

    /// Waits for a datagram. What is longer than the buffer is cut off.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, sender) = self.udp.recv_from(buffer).await?;
        let mut senders = self.senders();
        if senders.back() != Some(&sender) {
            senders.retain(|known| *known != sender);
            if senders.len() >= MAX_SENDERS {
                senders.pop_front();
            }
            senders.push_back(sender);
        }
        Ok((len, sender))
    }

    /// Whether `address` sent to it lately.
    pub(crate) fn heard_from(&self, address: SocketAddr) -> bool {
        self.senders().contains(&address)
    }

    pub(crate) fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.udp.set_broadcast(on)
    }

    pub(crate) fn broadcast(&self) -> io::Result<bool> {
        self.udp.broadcast()
    }

    pub(crate) fn set_ttl(&self, hops: u32) -> io::Result<()> {
        self.udp.set_ttl(hops)
    }

    pub(crate) fn ttl(&self) -> io::Result<u32> {
        self.udp.ttl()
    }

    fn senders(&self) -> std::sync::MutexGuard<'_, VecDeque<SocketAddr>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn socket() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = socket.local_address().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn the_latest_senders_can_be_answered_and_no_more_than_those() {
        let (server, address) = socket().await;
        let mut clients = Vec::new();
        for _ in 0..=MAX_SENDERS {
            let (client, own) = socket().await;
            client.send(b"x", Some(address)).await.unwrap();
            assert_eq!(server.receive(&mut [0; 4]).await.unwrap(), (1, own));
            clients.push((client, own));
        }
        let heard = |client: usize| server.heard_from(clients.get(client).unwrap().1);
        assert!(!heard(0), "the first one was forgotten");
        assert!(heard(1) && heard(MAX_SENDERS));
        assert!(!server.heard_from(address));
    }
}
