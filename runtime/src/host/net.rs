//! The network of guests: what a class may reach, names, and sockets that move between actors.

mod gate;
mod held;
mod resolver;
mod tcp;
mod udp;

pub(crate) use gate::Gate;
pub(crate) use held::{Held, Sockets};
pub(crate) use resolver::{Resolver, name_of};
pub(crate) use tcp::{Listener, OpenStreams, Stream, within};
pub(crate) use udp::UdpSocket;
