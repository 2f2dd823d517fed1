//! The one way in which a WebAssembly actor comes to be.

mod params;

pub(crate) use params::Params;

use std::sync::Arc;

use tokio::sync::oneshot;
use wasmtime::{Func, PoolConcurrencyLimitError, Store};
use wasmtime_wasi::I32Exit;

use crate::actor::{Actor, ActorId, Ended, Exit, ExitReason, LinkError, Prepare, Quota, QuotaExceeded};
use crate::class::Class;
use crate::engine::Tidied;
use crate::guest::Guest;
use crate::node::Node;

/// Why an actor was not spawned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// Its spawner has no right to.
    #[error("denied: the class {spawner:?} may not spawn {class:?}: add it to its permissions.spawn")]
    Denied {
        /// Class of the spawner.
        spawner: Arc<str>,
        /// What it wanted to spawn.
        class: String,
    },
    /// There is no such class.
    #[error("no class {class:?}: the app declares {known}")]
    UnknownClass {
        /// The name.
        class: String,
        /// The names that there are.
        known: String,
    },
    /// Too many are alive.
    #[error("the class {class:?} was not spawned: {source}")]
    Quota {
        /// What was to be spawned.
        class: Arc<str>,
        /// The bound.
        source: QuotaExceeded,
    },
    /// It needs more memory to start than it may have.
    #[error("the class {class:?} needs {wanted} of memory to start, but its limits.memory is {limit}")]
    Memory {
        /// What was to be spawned.
        class: Arc<str>,
        /// What it would have, in bytes.
        wanted: perigee_spec::MemoryBytes,
        /// Its limit.
        limit: perigee_spec::MemoryBytes,
    },
    /// Its spawner has no memory for the link to it.
    #[error("the class {class:?} was not spawned: {source}")]
    Link {
        /// What was to be spawned.
        class: Arc<str>,
        /// Who would have to pay for it.
        source: LinkError,
    },
    /// The process has no room for more actors.
    #[error("the class {class:?} was not spawned: this process has no room for more actors ({reason})")]
    Full {
        /// What was to be spawned.
        class: Arc<str>,
        /// Which of its resources is used up, and its number.
        reason: String,
    },
    /// The host has no room for it, or the module's own start function failed.
    #[error("the class {class:?} was not spawned: {reason}")]
    Instantiate {
        /// What was to be spawned.
        class: Arc<str>,
        /// What Wasmtime says.
        reason: String,
    },
}

/// Who spawns.
pub(crate) enum Spawner<'a> {
    /// The app itself, which hears of the end.
    Supervisor { told: oneshot::Sender<Exit> },
    /// An actor of a class, with the tag of a link to the new one.
    Actor { actor: &'a Arc<Actor>, class: &'a Class, link: Option<i64> },
}

/// What a new actor runs.
pub(crate) struct Entry<'a> {
    pub(crate) function: &'a str,
    pub(crate) params: Params,
}

impl Class {
    /// An error where its actors may not spawn those of `class`.
    pub(crate) fn check_spawn(&self, class: &str) -> Result<(), SpawnError> {
        if self.may_spawn(class) {
            return Ok(());
        }
        Err(SpawnError::Denied { spawner: Arc::clone(&self.name), class: class.to_owned() })
    }
}

impl Node {
    /// The class of that name, if `spawner` may spawn it.
    pub(crate) fn spawnable(&self, spawner: &Class, class: &str) -> Result<Arc<Class>, SpawnError> {
        spawner.check_spawn(class)?;
        self.class(class)
    }

    /// The class of that name.
    pub(crate) fn class(&self, class: &str) -> Result<Arc<Class>, SpawnError> {
        self.classes.get(class).cloned().ok_or_else(|| {
            let mut known: Vec<_> = self.classes.keys().map(|name| &**name).collect();
            known.sort_unstable();
            SpawnError::UnknownClass { class: class.to_owned(), known: known.join(", ") }
        })
    }

    /// Spawns an actor of a class. The instance is made by the caller's task, so that a failure is the caller's.
    pub(crate) async fn spawn(
        self: &Arc<Self>,
        class: &Arc<Class>,
        entry: Entry<'_>,
        spawner: Spawner<'_>,
    ) -> Result<ActorId, SpawnError> {
        let (quota, above, told) = match spawner {
            Spawner::Supervisor { told } => (Quota::new(class.spec.limits.actors, None), None, Some(told)),
            Spawner::Actor { actor, class: own, link } => {
                actor.make_way().await;
                let above = Arc::clone(actor.quota());
                // Functions of one module share their spawner's bound; another class has its own, within it.
                let shares = own.name == class.name;
                let quota = if shares { above } else { Quota::new(class.spec.limits.actors, Some(above)) };
                (quota, Some((actor, link)), None)
            }
        };
        let counts_in = above.map(|(spawner, _)| spawner.quota());
        let prepare = Prepare { class: Arc::clone(&class.name), limits: class.limits(), quota, counts_in };
        let actor =
            self.system.prepare(prepare).map_err(|source| SpawnError::Quota { class: Arc::clone(&class.name), source })?;
        if actor.charge_memory(class.held).is_err() {
            return Err(too_large(class, class.held));
        }
        let store = self.engine.store(Guest::new(Arc::clone(self), Arc::clone(&actor), Arc::clone(class)));
        let fuel = store.data().fuel.clone();
        // A start function, or the copying of much data, is preempted as a part of the actor that spawns. The app is none.
        let made = match (above.is_some(), fuel) {
            (true, None) => self.engine.instantiate(store, &class.program, entry.function).await,
            (true, Some(fuel)) => fuel.count(self.engine.instantiate(store, &class.program, entry.function)).await,
            (false, _) => self.engine.preempt(Box::pin(self.engine.instantiate(store, &class.program, entry.function))).await,
        };
        let (store, function) = match made {
            Ok(made) => made,
            Err((store, error)) => return Err(not_instantiated(class, &store, &error)),
        };
        // One without this function is spawned all the same, and traps.
        let function = function.ok_or_else(|| format!("the module exports no function {:?}", entry.function));
        let body = self.engine.preempt(run(store, function, entry.params));
        let (spawner, link) = above.map_or((None, None), |(spawner, link)| (Some(spawner), link));
        match self.system.start(&actor, spawner, link, told, body) {
            Ok(()) => Ok(actor.id()),
            Err(source) => Err(SpawnError::Link { class: Arc::clone(&class.name), source }),
        }
    }
}

fn too_large(class: &Class, wanted: u64) -> SpawnError {
    let (wanted, limit) = (perigee_spec::MemoryBytes(wanted), perigee_spec::MemoryBytes(class.memory_limit()));
    SpawnError::Memory { class: Arc::clone(&class.name), wanted, limit }
}

fn not_instantiated(class: &Class, store: &Store<Guest>, error: &wasmtime::Error) -> SpawnError {
    let class_name = Arc::clone(&class.name);
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return SpawnError::Full { class: class_name, reason: full.to_string() };
    }
    match store.data().memory_account.refused() {
        Some(wanted) => too_large(class, wanted),
        None => SpawnError::Instantiate { class: class_name, reason: crate::engine::trap_text(error) },
    }
}

async fn run(store: Store<Guest>, function: Result<Func, String>, params: Params) -> Ended {
    let mut store = Tidied::new(store);
    let function = match function {
        Ok(function) => function,
        Err(missing) => return ExitReason::Trap(missing).into(),
    };
    let called = match store.data().fuel.clone() {
        None => params.call(function, &mut store).await,
        Some(fuel) => fuel.count(params.call(function, &mut store)).await,
    };
    let ended = match called {
        Ok(()) => ExitReason::Normal.into(),
        Err(error) => Ended { reason: reason(&store, &error), last_words: store.data().last_words() },
    };
    if ended.reason.is_normal() {
        store.ended_by_itself();
    }
    ended
}

fn reason(store: &Store<Guest>, error: &wasmtime::Error) -> ExitReason {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return if exit.0 == 0 { ExitReason::Normal } else { ExitReason::Exited(exit.0) };
    }
    let guest = store.data();
    // A guest that gives up for want of memory aborts, which is this trap; any other has another cause.
    let aborted = matches!(error.downcast_ref(), Some(wasmtime::Trap::UnreachableCodeReached));
    if let Some(wanted) = guest.memory_account.refused().filter(|_| aborted) {
        return ExitReason::OutOfMemory { limit: guest.actor.limits().memory, wanted };
    }
    ExitReason::Trap(crate::engine::trap_text(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Envelope;

    /// A million actors pay for each byte, and every spawn copies them a few times.
    #[test]
    fn what_a_live_actor_carries_stays_small() {
        fn size_of_output<A, B, C, F>(_: impl FnOnce(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size_of_output(run) <= 576, "the future of its body: {} bytes", size_of_output(run));
        assert!(size_of::<Guest>() <= 304, "the state of its host functions: {} bytes", size_of::<Guest>());
        // With its counts in a block of 512 bytes, which begins with a cache line.
        assert!(size_of::<Actor>() <= 496, "what others see of it: {} bytes", size_of::<Actor>());
        assert!(size_of::<Envelope>() <= 96, "a place in its queue: {} bytes", size_of::<Envelope>());
    }
}
