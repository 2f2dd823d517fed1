//! The classes of one app on this node, the actors that run, and what they share of the host.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::actor::{Exit, ExitReason, System};
use crate::class::Class;
use crate::engine::{Engine, InUse};
use crate::host::metrics::Metrics;
use crate::host::net::{OpenStreams, Resolver};
use crate::host::stdio::Output;
use crate::spawn::{Entry, Params, SpawnError, Spawner};
use crate::supervisor::{Board, Declared};

/// What every actor of the app reaches the host through.
pub struct Node {
    pub(crate) system: Arc<System>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) classes: HashMap<Arc<str>, Arc<Class>>,
    pub(crate) resolver: Resolver,
    pub(crate) open_streams: OpenStreams,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) metrics: Metrics,
    /// Cancelled when the app drains: listeners close.
    pub(crate) draining: CancellationToken,
    /// What became of the actors that the app declares.
    pub(crate) declared: Board,
}

impl Node {
    /// Brings classes and host together.
    #[must_use]
    pub fn new(engine: impl Into<Arc<Engine>>, classes: Vec<Class>, stdout: Output, stderr: Output) -> Arc<Self> {
        let classes = classes.into_iter().map(|class| (Arc::clone(&class.name), Arc::new(class))).collect();
        Arc::new(Self {
            system: Arc::default(),
            engine: engine.into(),
            classes,
            resolver: Resolver::default(),
            open_streams: OpenStreams::default(),
            stdout,
            stderr,
            metrics: Metrics::default(),
            draining: CancellationToken::new(),
            declared: Board::default(),
        })
    }

    /// The actors.
    #[must_use]
    pub fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Changes the memory that each actor of a class may use, for those that live too. What one has beyond it is not taken.
    ///
    /// # Errors
    /// There is no such class.
    pub fn set_memory_limit(&self, class: &str, bytes: u64) -> Result<(), SpawnError> {
        let class = self.class(class)?;
        // In this order, so that only one that is just being spawned may keep the old one.
        let before = class.set_memory_limit(bytes);
        self.system.set_memory_limit(&class.name, before, bytes);
        Ok(())
    }

    /// Runs one actor of a class to its end, as the app's own: nobody supervises it.
    ///
    /// # Errors
    /// It was not spawned.
    pub async fn run(self: &Arc<Self>, class: &str) -> Result<Exit, SpawnError> {
        let class = self.class(class)?;
        let entry = Entry { function: &class.spec.entrypoint, params: Params::None };
        let (told, exit) = oneshot::channel();
        let id = self.spawn(&class, entry, Spawner::Supervisor { told }).await?;
        // Its task can only be dropped with the whole runtime.
        Ok(exit.await.unwrap_or_else(|_| Exit { id, reason: Arc::new(ExitReason::Killed), last_words: None }))
    }

    /// Makes every listener refuse further connections. Connections that exist go on.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether it does: the app is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// The actors that the app declares, in the order of starting. Empty before the app runs.
    #[must_use]
    pub fn declared(&self) -> Vec<Declared> {
        self.declared.look(tokio::time::Instant::now())
    }

    /// What the actors that are alive have of the process beside their memory. What one has that has ended is on its way back.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        InUse { connections: self.open_connections(), ..self.engine.in_use() }
    }

    /// Number of connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.open_streams.count()
    }
}
