//! What one guest holds of the network. Each entry is charged to it, and there is a bound to their number.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::Result;

use super::{Gate, Listener, Stream, TlsListener, TlsStream, UdpSocket};
use crate::actor::Actor;
use crate::host::charge::{Charge, NoMemory};
use crate::host::table::Table;

/// Sockets that one guest may hold, clones included: each is an open file of the process, which all its actors share.
const MAX_SOCKETS: usize = 4_096;
/// What is charged for a socket: the host's structures. The kernel's own are on the account of the pod.
const SOCKET_BYTES: u64 = 1 << 10;
/// What is charged for a socket with TLS: a record of 16 KiB each that comes in, is decrypted and goes out, and the state of
/// the session; or certificates and key of a listener.
const TLS_BYTES: u64 = 64 << 10;
/// Lists of addresses that one guest may hold.
const MAX_LISTS: usize = 4_096;
/// What is charged for a list beside its addresses.
const LIST_BYTES: u64 = 128;
/// What is charged for an address.
const ADDRESS_BYTES: u64 = 32;

/// Why a guest cannot hold one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("the actor holds {MAX_SOCKETS} sockets already: it has to close some first")]
    Sockets,
    #[error("the actor holds {MAX_LISTS} lists of addresses already: it has to drop some first")]
    Lists,
    #[error("the actor has no memory for this: {0}")]
    Memory(#[from] NoMemory),
}

/// A kind of socket. Guests hold each kind by ids of its own.
pub(crate) trait Socket: Send + Sync + Sized + 'static {
    /// What is charged for a handle of one.
    const BYTES: u64;

    fn table(sockets: &mut Sockets) -> &mut Table<Held<Self>>;

    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// Says of a kind where its handles are, and what one costs.
macro_rules! kind {
    ($kind:ty, $table:ident, $bytes:expr) => {
        impl Socket for $kind {
            const BYTES: u64 = $bytes;

            fn table(sockets: &mut Sockets) -> &mut Table<Held<Self>> {
                &mut sockets.$table
            }

            fn local_address(&self) -> io::Result<SocketAddr> {
                self.local_address()
            }
        }
    };
}

kind!(Listener, listeners, SOCKET_BYTES);
kind!(Stream, streams, SOCKET_BYTES);
kind!(UdpSocket, udp, SOCKET_BYTES);
kind!(TlsListener, tls_listeners, TLS_BYTES);
kind!(TlsStream, tls_streams, TLS_BYTES);

/// What a socket takes of a mailbox beyond what every resource does.
pub(crate) fn weight<T: Socket>() -> u64 {
    T::BYTES - SOCKET_BYTES
}

/// A guest's handle, and its place in the guest's account.
pub(crate) struct Held<T> {
    socket: Arc<T>,
    _place: Charge,
}

/// A list of addresses that is read once, one by one.
pub(crate) struct Addresses {
    pub(crate) left: VecDeque<SocketAddr>,
    _place: Charge,
}

/// What one guest holds of the network.
pub(crate) struct Sockets {
    actor: Arc<Actor>,
    pub(crate) gate: Gate,
    pub(crate) addresses: Table<Addresses>,
    listeners: Table<Held<Listener>>,
    streams: Table<Held<Stream>>,
    udp: Table<Held<UdpSocket>>,
    tls_listeners: Table<Held<TlsListener>>,
    tls_streams: Table<Held<TlsStream>>,
}

impl Sockets {
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self {
            actor,
            gate: Gate::default(),
            addresses: Table::default(),
            listeners: Table::default(),
            streams: Table::default(),
            udp: Table::default(),
            tls_listeners: Table::default(),
            tls_streams: Table::default(),
        }
    }

    /// A place for one more socket. Taken before the socket is made: what would be refused afterwards is not made at all.
    pub(crate) fn place<T: Socket>(&self) -> Result<Charge, Full> {
        let tls = self.tls_listeners.len() + self.tls_streams.len();
        if self.listeners.len() + self.streams.len() + self.udp.len() + tls >= MAX_SOCKETS {
            return Err(Full::Sockets);
        }
        Ok(Charge::new(&self.actor, T::BYTES)?)
    }

    /// Keeps a socket in its place; returns its id.
    pub(crate) fn add<T: Socket>(&mut self, socket: Arc<T>, place: Charge) -> Result<u64> {
        T::table(self).add(Held { socket, _place: place })
    }

    pub(crate) fn get<T: Socket>(&mut self, id: u64) -> Result<Arc<T>> {
        T::table(self).get(id).map(|held| Arc::clone(&held.socket))
    }

    /// Takes a socket out, and gives its place back.
    pub(crate) fn remove<T: Socket>(&mut self, id: u64) -> Result<Arc<T>> {
        T::table(self).remove(id).map(|held| held.socket)
    }

    /// Keeps a list of addresses; returns its id.
    pub(crate) fn add_addresses(&mut self, addresses: VecDeque<SocketAddr>) -> Result<u64, Full> {
        if self.addresses.len() >= MAX_LISTS {
            return Err(Full::Lists);
        }
        let count = u64::try_from(addresses.len()).unwrap_or(u64::MAX);
        let place = Charge::new(&self.actor, LIST_BYTES.saturating_add(count.saturating_mul(ADDRESS_BYTES)))?;
        self.addresses.add(Addresses { left: addresses, _place: place }).map_err(|_| Full::Lists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::{ActorLimits, Prepare, Quota, System};

    fn sockets(memory: u64) -> Sockets {
        let limits = ActorLimits { memory, mailbox: 1 << 10 };
        let prepare = Prepare { class: "test".into(), limits, quota: Quota::new(0, None), counts_in: None };
        Sockets::new(System::default().prepare(prepare).unwrap())
    }

    fn one() -> VecDeque<SocketAddr> {
        VecDeque::from(["127.0.0.1:1".parse().unwrap()])
    }

    #[test]
    fn lists_of_addresses_are_charged_up_to_the_limit_and_given_back() {
        let mut sockets = sockets(2 * (LIST_BYTES + ADDRESS_BYTES));
        let first = sockets.add_addresses(one()).unwrap();
        sockets.add_addresses(one()).unwrap();
        let refused = sockets.add_addresses(one()).unwrap_err();
        assert!(refused.to_string().contains("limits.memory of 320"), "{refused}");
        drop(sockets.addresses.remove(first).unwrap());
        sockets.add_addresses(one()).unwrap();
    }

    #[test]
    fn one_list_more_than_allowed_is_refused() {
        let mut sockets = sockets(1 << 30);
        for _ in 0..MAX_LISTS {
            sockets.add_addresses(one()).unwrap();
        }
        assert_eq!(sockets.add_addresses(one()), Err(Full::Lists));
    }

    #[tokio::test]
    async fn one_socket_more_than_allowed_is_refused_whatever_its_kind() {
        let mut sockets = sockets(1 << 30);
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0".parse().unwrap()).await.unwrap());
        let listener = Arc::new(Listener::bind("127.0.0.1:0".parse().unwrap(), Default::default()).await.unwrap());
        let place = sockets.place::<Listener>().unwrap();
        let listener = sockets.add(listener, place).unwrap();
        for _ in 1..MAX_SOCKETS {
            let place = sockets.place::<UdpSocket>().unwrap();
            sockets.add(Arc::clone(&socket), place).unwrap();
        }
        assert!(matches!(sockets.place::<Stream>(), Err(Full::Sockets)));
        assert!(matches!(sockets.place::<TlsStream>(), Err(Full::Sockets)));
        drop(sockets.remove::<Listener>(listener).unwrap());
        assert!(sockets.place::<TlsStream>().is_ok());
    }

    #[test]
    fn a_socket_beyond_the_memory_of_its_actor_is_refused() {
        let sockets = sockets(SOCKET_BYTES + TLS_BYTES);
        let (first, _second) = (sockets.place::<TlsStream>().unwrap(), sockets.place::<Stream>().unwrap());
        assert!(matches!(sockets.place::<UdpSocket>(), Err(Full::Memory(_))));
        drop(first);
        assert!(sockets.place::<TlsListener>().is_ok());
    }
}
