//! The classes of one app on this node, the actors that run, and what they share of the host.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::actor::{Exit, ExitReason, System};
use crate::class::Class;
use crate::engine::{Engine, Program};
use crate::host::charge::Charge;
use crate::host::metrics::Metrics;
use crate::host::net::{OpenStreams, Resolver};
use crate::host::stdio::Output;
use crate::spawn::{Entry, SpawnError, Spawner};
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
    /// Modules of guests that are compiled at once: as many as there are cores.
    compiling: Arc<Semaphore>,
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
            compiling: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))),
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
        let entry = Entry { function: &class.spec.entrypoint, params: &[] };
        let (told, exit) = oneshot::channel();
        let id = self.spawn(&class, entry, Spawner::Supervisor { told }).await?;
        // Its task can only be dropped with the whole runtime.
        Ok(exit.await.unwrap_or_else(|_| Exit { id, reason: Arc::new(ExitReason::Killed), last_words: None }))
    }

    /// Compiles a module of a guest. It suspends meanwhile. Should it be killed, the work is still finished: until then it
    /// counts among what is compiled at once, and `place` stays charged.
    pub(crate) async fn compile(&self, name: String, bytes: Vec<u8>, place: Charge) -> wasmtime::Result<Program> {
        let permit = Arc::clone(&self.compiling).acquire_owned().await?;
        let engine = Arc::clone(&self.engine);
        let compiled = tokio::task::spawn_blocking(move || {
            let program = engine.compile(&name, &bytes);
            drop((permit, place));
            program
        });
        Ok(compiled.await??)
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

    /// Number of connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.open_streams.count()
    }
}
