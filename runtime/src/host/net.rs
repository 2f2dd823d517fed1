//! The network of guests: what a class may reach, names, and sockets that move between actors.

mod certificates;
mod connection;
mod gate;
mod held;
mod resolver;
mod tcp;
mod tls;
mod udp;

pub(crate) use certificates::{MAX_PEM_BYTES, client_config, roots, server_config};
pub(crate) use connection::{Acceptor, Connection, OpenStreams, Waits, within};
pub(crate) use gate::{Denied, Gate};
pub(crate) use held::{Full, Socket, Sockets, weight};
pub(crate) use resolver::{Resolver, join, name_of};
pub(crate) use tcp::{Listener, Stream};
pub(crate) use tls::{TlsListener, TlsStream};
pub(crate) use udp::UdpSocket;
