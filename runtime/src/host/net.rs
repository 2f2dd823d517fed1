//! The network of guests: what a class may reach, names, and TCP connections that move between actors.

mod gate;
mod resolver;
mod tcp;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use gate::Gate;
pub(crate) use resolver::{Resolver, name_of};
pub(crate) use tcp::{Listener, OpenStreams, Stream, within};

use super::table::Table;

/// What one guest holds of the network.
#[derive(Default)]
pub(crate) struct Sockets {
    pub(crate) gate: Gate,
    /// Lists of addresses that are read once, one by one.
    pub(crate) addresses: Table<VecDeque<SocketAddr>>,
    pub(crate) listeners: Table<Arc<Listener>>,
    pub(crate) streams: Table<Arc<Stream>>,
}
