//! The classes of one app on this node, the actors that run, and what they share of the host.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::actor::{Exit, ExitReason, System};
use crate::class::Class;
use crate::engine::Engine;
use crate::host::net::{OpenStreams, Resolver};
use crate::host::stdio::Output;
use crate::spawn::{Entry, SpawnError, Spawner};

/// What every actor of the app reaches the host through.
pub struct Node {
    pub(crate) system: Arc<System>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) classes: HashMap<Arc<str>, Arc<Class>>,
    pub(crate) resolver: Resolver,
    pub(crate) open_streams: OpenStreams,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    /// Cancelled when the app drains: listeners close.
    pub(crate) draining: CancellationToken,
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
            draining: CancellationToken::new(),
        })
    }

    /// The actors.
    #[must_use]
    pub fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Runs one actor of a class to its end, as the app's own: nobody supervises it.
    ///
    /// # Errors
    /// It was not spawned.
    pub async fn run(self: &Arc<Self>, class: &str) -> Result<Exit, SpawnError> {
        let class = self.class(class)?;
        let entry = Entry { function: &class.spec.entrypoint, params: &[] };
        let (id, exit) = self.spawn(&class, entry, Spawner::Supervisor).await?;
        // Its task can only be dropped with the whole runtime.
        Ok(exit.await.unwrap_or_else(|_| Exit { id, reason: Arc::new(ExitReason::Killed), last_words: None }))
    }

    /// Makes every listener refuse further connections. Connections that exist go on.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Number of connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.open_streams.count()
    }
}
