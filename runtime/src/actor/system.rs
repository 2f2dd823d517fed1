//! All actors of one app: how they come to be, are found, and end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::quota::{Quota, QuotaExceeded};
use super::registry::{MAX_NAMES, NameError, Registry};
use super::table::Table;
use super::task::Task;
use super::timer::Timers;
use super::{Actor, ActorId, ActorLimits, ExitReason, Lookup, Message, TimerError};

/// What a new actor is to be.
pub struct Prepare {
    /// Name of its class.
    pub class: Arc<str>,
    /// What it may use.
    pub limits: ActorLimits,
    /// What it may spawn.
    pub quota: Arc<Quota>,
    /// Where it counts itself: its spawner's quota. `None` for those that the app starts.
    pub counts_in: Option<Arc<Quota>>,
}

/// The end of an actor, as its supervisor hears of it.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Who.
    pub id: ActorId,
    /// Why.
    pub reason: Arc<ExitReason>,
}

/// A world of actors: they find and reach each other, and nobody else.
#[derive(Default)]
pub struct System {
    last_id: AtomicU64,
    table: Table,
    registry: Registry,
    timers: Timers,
    tasks: TaskTracker,
}

impl System {
    /// An actor to be: it has an id, and nobody reaches it yet.
    ///
    /// # Errors
    /// [`QuotaExceeded`] of the quota that it counts in, or of one above.
    pub fn prepare(&self, prepare: Prepare) -> Result<Arc<Actor>, QuotaExceeded> {
        let charge = prepare.counts_in.as_ref().map(Quota::charge).transpose()?;
        let id = ActorId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(Arc::new(Actor::new(id, prepare.class, prepare.limits, prepare.quota, charge)))
    }

    /// Starts it. From here on it is reached by its id, and a link to its spawner (with the tag that the spawner hears)
    /// holds before its first instruction.
    pub fn launch<F>(self: &Arc<Self>, actor: &Arc<Actor>, link: Option<(&Arc<Actor>, i64)>, body: F) -> oneshot::Receiver<Exit>
    where
        F: Future<Output = ExitReason> + Send + 'static,
    {
        let (told, exit) = oneshot::channel();
        self.table.insert(Arc::clone(actor));
        if let Some((spawner, tag)) = link {
            spawner.link_tagged(actor, tag, 0);
        }
        let (system, actor) = (Arc::clone(self), Arc::clone(actor));
        self.tasks.spawn(async move {
            let reason = Arc::new(Task::new(Arc::clone(&actor), body).await);
            system.bury(&actor, &reason);
            // Nobody may be listening: only supervisors do.
            drop(told.send(Exit { id: actor.id, reason }));
        });
        exit
    }

    fn bury(&self, actor: &Arc<Actor>, reason: &Arc<ExitReason>) {
        self.table.remove(actor.id);
        for name in actor.finish(reason) {
            self.registry.forget(&name, actor.id);
        }
        match &**reason {
            // What somebody decided is no event; nor is what follows from another end, which has its own line.
            ExitReason::Normal | ExitReason::Killed | ExitReason::LinkDied { .. } => {
                tracing::debug!(actor = actor.id.0, class = %actor.class(), "{reason}");
            }
            ExitReason::HostFault(_) => tracing::error!(actor = actor.id.0, class = %actor.class(), "{reason}"),
            _ => tracing::warn!(actor = actor.id.0, class = %actor.class(), "{reason}"),
        }
    }

    /// The actor of that id, if it is alive.
    #[must_use]
    pub fn find(&self, id: ActorId) -> Option<Arc<Actor>> {
        self.table.get(id)
    }

    /// Number of actors that are alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no actor is alive and nothing of one is left behind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0 && self.registry.len() == 0
    }

    /// Kills every actor and waits for their ends.
    pub async fn kill_all(&self) {
        self.tasks.close();
        while !self.tasks.is_empty() {
            for actor in self.table.all() {
                actor.kill();
            }
            // One that was just being spawned is met by the next round.
            drop(tokio::time::timeout(Duration::from_millis(10), self.tasks.wait()).await);
        }
        self.tasks.reopen();
    }

    /// Gives a name, taking it from whoever had it. A dead or unknown actor gets none.
    ///
    /// # Errors
    /// The name is too long, or the actor has too many.
    pub fn register(&self, name: &str, id: ActorId) -> Result<(), NameError> {
        NameError::check_length(name)?;
        let Some(actor) = self.find(id) else { return Ok(()) };
        if actor.lock().names.len() >= MAX_NAMES {
            return Err(NameError::TooMany { id });
        }
        self.registry.put(name.to_owned(), id);
        self.remember_name(&actor, name.to_owned());
        Ok(())
    }

    /// Takes a name away.
    pub fn unregister(&self, name: &str) {
        self.registry.remove(name);
    }

    /// Who has a name. Waits while somebody is about to give it.
    pub async fn lookup(&self, name: &str) -> Option<ActorId> {
        self.registry.get(name).await
    }

    /// Who has a name, else the right to give it, which nobody else gets in the meantime.
    ///
    /// # Errors
    /// The name is too long.
    pub async fn lookup_or_reserve(&self, name: &str) -> Result<Lookup<'_>, NameError> {
        NameError::check_length(name)?;
        Ok(self.registry.get_or_reserve(name).await)
    }

    /// Gives a reserved name.
    pub fn register_reserved(&self, reservation: super::registry::Reservation<'_>, actor: &Arc<Actor>) {
        let name = reservation.give(actor.id);
        self.remember_name(actor, name);
    }

    fn remember_name(&self, actor: &Arc<Actor>, name: String) {
        let mut inner = actor.lock();
        if inner.alive {
            if !inner.names.contains(&name) {
                inner.names.push(name);
            }
        } else {
            drop(inner);
            self.registry.forget(&name, actor.id);
        }
    }

    /// Sends `message` to `receiver` after `delay`, if that one is alive now and then. Until then the message is charged
    /// to its `owner`. Returns the timer's id.
    ///
    /// # Errors
    /// Too many timers are pending; the owner has no memory for the message.
    pub fn send_after(
        &self,
        owner: &Arc<Actor>,
        receiver: ActorId,
        message: Message,
        delay: Duration,
    ) -> Result<u64, TimerError> {
        self.timers.send_after(owner, self.find(receiver), message, delay)
    }

    /// Whether the timer was still pending; it is not any more.
    pub fn cancel_timer(&self, timer: u64) -> bool {
        self.timers.cancel(timer)
    }
}
