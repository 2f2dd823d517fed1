//! What a WebAssembly actor carries along on the host's side: the data of its store.

use std::sync::Arc;

use wasmtime::Memory;
use wasmtime_wasi::p1::WasiP1Ctx;

use crate::actor::{Actor, ActorId};
use crate::class::Class;
use crate::engine::{Fuel, MemoryAccount};
use crate::host::last_words::LastWords;
use crate::host::making::Makings;
use crate::host::net::Sockets;
use crate::host::scratch::Scratch;
use crate::host::sqlite::Databases;
use crate::host::table::Table;
use crate::node::Node;

/// One guest.
pub(crate) struct Guest {
    pub(crate) node: Arc<Node>,
    pub(crate) actor: Arc<Actor>,
    pub(crate) class: Arc<Class>,
    pub(crate) memory_account: MemoryAccount,
    /// The export `memory`; `None` until it is instantiated, or for good where the module exports none.
    pub(crate) memory: Option<Memory>,
    /// Made at the first use: many short-lived actors never need it.
    wasi: Option<Box<WasiP1Ctx>>,
    pub(crate) scratch: Scratch,
    /// Whom it sent to last: most send to the same one again.
    last_receiver: Option<Arc<Actor>>,
    /// Errors that host functions returned, as texts.
    pub(crate) errors: Table<String>,
    // What few guests have of these is made at the first use: the others carry a pointer.
    sockets: Option<Box<Sockets>>,
    makings: Option<Box<Makings>>,
    databases: Option<Box<Databases>>,
    /// It has used up a time slice, at least.
    pub(crate) was_preempted: bool,
    /// Processor time that it may use; `None`: any.
    pub(crate) fuel: Option<Arc<Fuel>>,
    /// The end of what it wrote to standard error; made with `wasi`.
    last_words: Option<LastWords>,
}

impl Guest {
    pub(crate) fn new(node: Arc<Node>, actor: Arc<Actor>, class: Arc<Class>) -> Self {
        Self {
            memory_account: MemoryAccount::new(Arc::clone(&actor)),
            scratch: Scratch::new(Arc::clone(&actor)),
            sockets: None,
            makings: None,
            databases: None,
            fuel: (class.fuel != 0).then(|| Arc::new(Fuel::new(class.fuel))),
            node,
            actor,
            class,
            memory: None,
            was_preempted: false,
            last_receiver: None,
            wasi: None,
            errors: Table::default(),
            last_words: None,
        }
    }

    /// Whom a message to `id` is for; `None`: no actor of that id is alive.
    pub(crate) fn receiver(&mut self, id: ActorId) -> Option<&Arc<Actor>> {
        if self.last_receiver.as_ref().is_none_or(|last| last.id() != id) {
            self.last_receiver = self.node.system.find(id);
        }
        self.last_receiver.as_ref()
    }

    pub(crate) fn wasi(&mut self) -> &mut WasiP1Ctx {
        let (class, node, words) = (&self.class, &self.node, &mut self.last_words);
        self.wasi.get_or_insert_with(|| {
            let words = words.get_or_insert_default();
            Box::new(crate::host::wasi::context(class, node, words))
        })
    }

    pub(crate) fn sockets(&mut self) -> &mut Sockets {
        self.sockets.get_or_insert_with(|| Box::new(Sockets::new(Arc::clone(&self.actor))))
    }

    pub(crate) fn makings(&mut self) -> &mut Makings {
        self.makings.get_or_insert_default()
    }

    pub(crate) fn databases(&mut self) -> &mut Databases {
        self.databases.get_or_insert_default()
    }

    /// An error once it has used up its processor time.
    pub(crate) fn check_fuel(&self) -> wasmtime::Result<()> {
        self.fuel.as_ref().map_or(Ok(()), |fuel| fuel.check())
    }

    /// The line that says why it ended, if it wrote one.
    pub(crate) fn last_words(&self) -> Option<Arc<str>> {
        self.last_words.as_ref()?.line()
    }
}
