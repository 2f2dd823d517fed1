//! What one guest holds of the network. Each entry is charged to it, and there is a bound to their number.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::Result;

use super::{Gate, Listener, Stream, UdpSocket};
use crate::actor::Actor;
use crate::host::charge::{Charge, NoMemory};
use crate::host::table::Table;

/// Sockets that one guest may hold, clones included: each is an open file of the process, which all its actors share.
const MAX_SOCKETS: usize = 4_096;
/// What is charged for a socket: the host's structures. The kernel's own are on the account of the pod.
const SOCKET_BYTES: u64 = 1 << 10;
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

/// A guest's handle, and its place in the guest's account.
pub(crate) struct Held<T> {
    pub(crate) socket: Arc<T>,
    _place: Charge,
}

impl<T> Held<T> {
    pub(crate) fn new(socket: Arc<T>, place: Charge) -> Self {
        Self { socket, _place: place }
    }
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
    pub(crate) listeners: Table<Held<Listener>>,
    pub(crate) streams: Table<Held<Stream>>,
    pub(crate) udp: Table<Held<UdpSocket>>,
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
        }
    }

    /// A place for one more socket. Taken before the socket is made: what would be refused afterwards is not made at all.
    pub(crate) fn place(&self) -> Result<Charge, Full> {
        if self.listeners.len() + self.streams.len() + self.udp.len() >= MAX_SOCKETS {
            return Err(Full::Sockets);
        }
        Ok(Charge::new(&self.actor, SOCKET_BYTES)?)
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
        let place = sockets.place().unwrap();
        let listener = sockets.listeners.add(Held::new(listener, place)).unwrap();
        for _ in 1..MAX_SOCKETS {
            let place = sockets.place().unwrap();
            sockets.udp.add(Held::new(Arc::clone(&socket), place)).unwrap();
        }
        assert!(matches!(sockets.place(), Err(Full::Sockets)));
        drop(sockets.listeners.remove(listener).unwrap());
        assert!(sockets.place().is_ok());
    }

    #[test]
    fn a_socket_beyond_the_memory_of_its_actor_is_refused() {
        let sockets = sockets(2 * SOCKET_BYTES);
        let (first, _second) = (sockets.place().unwrap(), sockets.place().unwrap());
        assert!(matches!(sockets.place(), Err(Full::Memory(_))));
        drop(first);
        assert!(sockets.place().is_ok());
    }
}
