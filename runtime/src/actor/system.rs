//! All actors of one app: how they come to be, are found, and end.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::end::Log;
use super::exit::Ended;
use super::link::LinkError;
use super::quota::{Quota, QuotaExceeded};
use super::registry::{NameError, Registry};
use super::run::Run;
use super::stop::Stopping;
use super::sync::{self, AtomicU64, Ordering};
use super::table::Table;
use super::timer::Timers;
use super::turn::Task;
use super::{Actor, ActorId, ActorLimits, ExitReason, Lookup, Message, TimerError};

/// What a new actor is to be.
pub struct Prepare<'a> {
    /// Name of its class.
    pub class: Arc<str>,
    /// What it may use.
    pub limits: ActorLimits,
    /// What it may spawn.
    pub quota: Arc<Quota>,
    /// Where it counts itself: its spawner's quota. `None` for those that the app starts.
    pub counts_in: Option<&'a Arc<Quota>>,
}

/// The end of an actor, as its supervisor hears of it.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Who.
    pub id: ActorId,
    /// Why.
    pub reason: Arc<ExitReason>,
    /// What it said last, or the linked actor that it died with.
    pub last_words: Option<Arc<str>>,
}

/// One of the tasks of a system, until it is dropped.
pub(super) struct Counted(Arc<System>);

impl Counted {
    fn new(system: Arc<System>) -> Self {
        system.tasks.fetch_add(1, Ordering::Relaxed);
        Self(system)
    }
}

impl Deref for Counted {
    type Target = System;

    fn deref(&self) -> &System {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Whoever sees that it is gone sees what it did.
        self.0.tasks.fetch_sub(1, Ordering::Release);
    }
}

/// A world of actors: they find and reach each other, and nobody else.
#[derive(Default)]
pub struct System {
    last_id: AtomicU64,
    pub(super) table: Table,
    registry: Registry,
    timers: Timers,
    /// Tasks of actors, as long as there is anything of them.
    tasks: AtomicU64,
    log: Log,
    pub(super) stopping: Stopping,
}

impl System {
    /// An actor to be: it has an id, and nobody reaches it yet.
    ///
    /// # Errors
    /// [`QuotaExceeded`] of the quota that it counts in, or of one above.
    pub fn prepare(&self, prepare: Prepare<'_>) -> Result<Arc<Actor>, QuotaExceeded> {
        let charge = prepare.counts_in.map(Quota::charge).transpose()?;
        let id = ActorId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(Arc::new(Actor::new(id, prepare.class, prepare.limits, prepare.quota, charge)))
    }

    /// Starts it. From here on it is reached by its id. What its `spawner` does to it right away comes before its first
    /// instruction (see `gate.rs`); so does a link to it, of whose end the spawner hears by the tag `link`.
    ///
    /// # Errors
    /// The spawner has no memory for the link. Nothing is started then.
    pub fn launch<F>(
        self: &Arc<Self>,
        actor: &Arc<Actor>,
        spawner: Option<&Arc<Actor>>,
        link: Option<i64>,
        body: F,
    ) -> Result<oneshot::Receiver<Exit>, LinkError>
    where
        F: Future<Output: Into<Ended>> + Send + 'static,
    {
        let (told, exit) = oneshot::channel();
        self.start(actor, spawner, link, Some(told), body)?;
        Ok(exit)
    }

    /// As [`Self::launch`]; of its end hears `told`, if anybody.
    pub(crate) fn start<F>(
        self: &Arc<Self>,
        actor: &Arc<Actor>,
        spawner: Option<&Arc<Actor>>,
        link: Option<i64>,
        told: Option<oneshot::Sender<Exit>>,
        body: F,
    ) -> Result<(), LinkError>
    where
        F: Future<Output: Into<Ended>> + Send + 'static,
    {
        if let (Some(spawner), Some(tag)) = (spawner, link) {
            spawner.link_spawned(actor, tag)?;
        }
        if let Some(spawner) = spawner {
            actor.look.spawned_by(spawner.id);
        }
        self.table.insert(Arc::clone(actor));
        let run = Run::new(Counted::new(Arc::clone(self)), Arc::clone(actor), told, body);
        let task = Task::new(Arc::clone(actor), Box::pin(run));
        match spawner {
            Some(spawner) => spawner.hold_back(task),
            None => sync::spawn(task),
        }
        Ok(())
    }

    /// Whoever hears of an end finds nothing of the actor any more: no id, no name, no place in a quota.
    pub(super) fn bury(&self, actor: &Arc<Actor>, ended: Ended, told: Option<oneshot::Sender<Exit>>) {
        self.table.remove(actor.id);
        let (Ended { reason, last_words }, relations) = actor.finish(ended);
        self.log.end(actor, &reason);
        // Most actors end without anybody who hears of it.
        if relations.is_none() && told.is_none() {
            return;
        }
        let reason = Arc::new(reason);
        if let Some(relations) = relations {
            if !relations.names.is_empty() {
                self.registry.forget(relations.names.iter(), actor);
            }
            for timer in &relations.timers {
                self.timers.cancel(*timer);
            }
            actor.tell_of_end(*relations, &reason, last_words.as_ref());
        }
        if let Some(told) = told {
            // Whoever asked may have gone.
            drop(told.send(Exit { id: actor.id, reason, last_words }));
        }
    }

    /// The actor of that id, if it is alive.
    #[must_use]
    pub fn find(&self, id: ActorId) -> Option<Arc<Actor>> {
        self.table.get(id)
    }

    /// Changes the memory that actors of a class may use, from what its class had before. One that was given less has no
    /// more by it.
    pub fn set_memory_limit(&self, class: &str, before: u64, bytes: u64) {
        for actor in self.all().iter().filter(|actor| **actor.class() == *class) {
            let present = actor.limits().memory;
            actor.set_memory_limit(if present == before { bytes } else { present.min(bytes) });
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Actor>> {
        self.table.all()
    }

    /// Number of actors that are alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no actor is alive and nothing of one is left behind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0 && self.registry.len() == 0 && self.timers.len() == 0
    }

    /// Kills every actor and waits for their ends.
    pub async fn kill_all(&self) {
        while self.tasks.load(Ordering::Acquire) > 0 {
            let started = Instant::now();
            for actor in self.table.all() {
                actor.kill();
            }
            // One that was just being spawned is met by the next round. Of very many, most of the time is for their ends.
            tokio::time::sleep((started.elapsed() * 10).max(Duration::from_millis(1))).await;
        }
    }

    /// Gives a name, taking it from whoever had it. A dead or unknown actor gets none.
    ///
    /// # Errors
    /// The name is too long; the actor has too many, or no memory for it.
    pub fn register(&self, name: &str, id: ActorId) -> Result<(), NameError> {
        Registry::check_length(name)?;
        self.find(id).map_or(Ok(()), |actor| self.registry.put(name, &actor))
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
        Registry::check_length(name)?;
        Ok(self.registry.get_or_reserve(name).await)
    }

    /// Gives a reserved name.
    ///
    /// # Errors
    /// The actor has too many, or no memory for it.
    pub fn register_reserved(&self, reservation: super::registry::Reservation<'_>, actor: &Arc<Actor>) -> Result<(), NameError> {
        self.registry.put(&reservation.name, actor)
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
