//! Names of actors. A name goes with its actor, who pays for it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use super::sync::{Mutex, MutexGuard};
use super::{Actor, ActorId};

/// Names that one actor may have: far more than a program gives.
pub(super) const MAX_NAMES: usize = 1_024;
/// Bytes of one name. Lunatic's SDK puts the types of a process in front of the name that a program gives.
const MAX_NAME_BYTES: usize = 1_024;
/// What a name takes beside its bytes: an entry of the registry, and one of its actor.
const OVERHEAD_BYTES: u64 = 192;

/// Why a name was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is too long.
    #[error("a name of {bytes} bytes: {MAX_NAME_BYTES} is the most")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The actor has too many.
    #[error("actor {id} has {MAX_NAMES} names already")]
    TooMany {
        /// The actor.
        id: ActorId,
    },
    /// The actor has no memory for it.
    #[error("actor {id} has no memory for one more name: it would have {wanted} bytes, beyond limits.memory")]
    Memory {
        /// The actor.
        id: ActorId,
        /// What it would have in all, in bytes.
        wanted: u64,
    },
}

enum Entry {
    Taken(Arc<Actor>),
    /// Somebody is about to register it; told when that is decided.
    Reserved(Arc<Notify>),
}

/// What a name stands for.
pub enum Lookup<'a> {
    /// This actor.
    Taken(ActorId),
    /// Nothing so far: the name is the caller's to give, and others who ask for it wait.
    Reserved(Reservation<'a>),
}

/// The right to give a name. Dropped without a use, the name is free again.
pub struct Reservation<'a> {
    registry: &'a Registry,
    pub(super) name: String,
    notify: Arc<Notify>,
}

/// Its lock is taken before an actor's, never after.
#[derive(Default)]
pub(super) struct Registry(Mutex<HashMap<Arc<str>, Entry>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_length(name: &str) -> Result<(), NameError> {
        if name.len() > MAX_NAME_BYTES { Err(NameError::TooLong { bytes: name.len() }) } else { Ok(()) }
    }

    /// Gives a name, taking it from whoever had it. One that has ended gets none.
    pub(super) fn put(&self, name: &str, actor: &Arc<Actor>) -> Result<(), NameError> {
        let mut names = self.lock();
        let name: Arc<str> = name.into();
        {
            let mut inner = actor.lock();
            if !inner.alive {
                return Ok(());
            }
            let own = &mut inner.relations().names;
            if own.contains(&name) {
                return Ok(());
            }
            if own.len() >= MAX_NAMES {
                return Err(NameError::TooMany { id: actor.id });
            }
            actor.charge_memory(cost(&name)).map_err(|wanted| NameError::Memory { id: actor.id, wanted })?;
            own.insert(Arc::clone(&name));
        }
        match names.insert(Arc::clone(&name), Entry::Taken(Arc::clone(actor))) {
            Some(Entry::Taken(before)) => take_from(&before, &name),
            Some(Entry::Reserved(notify)) => notify.notify_waiters(),
            None => {}
        }
        Ok(())
    }

    /// Takes a name away, if there is one.
    pub(super) fn remove(&self, name: &str) {
        let mut names = self.lock();
        match names.remove(name) {
            Some(Entry::Taken(holder)) => take_from(&holder, name),
            Some(Entry::Reserved(notify)) => notify.notify_waiters(),
            None => {}
        }
    }

    /// Takes the names of an actor that has ended away.
    pub(super) fn forget<'a>(&self, gone: impl Iterator<Item = &'a Arc<str>>, actor: &Arc<Actor>) {
        let mut names = self.lock();
        for name in gone {
            if matches!(names.get(name), Some(Entry::Taken(holder)) if Arc::ptr_eq(holder, actor)) {
                names.remove(name);
            }
        }
    }

    pub(super) async fn get(&self, name: &str) -> Option<ActorId> {
        loop {
            let decided = match self.lock().get(name)? {
                Entry::Taken(actor) => return Some(actor.id),
                // Enlisted under the lock: the decision cannot fall in between.
                Entry::Reserved(notify) => Arc::clone(notify).notified_owned(),
            };
            decided.await;
        }
    }

    pub(super) async fn get_or_reserve(&self, name: &str) -> Lookup<'_> {
        loop {
            let decided = {
                let mut names = self.lock();
                match names.get(name) {
                    Some(Entry::Taken(actor)) => return Lookup::Taken(actor.id),
                    Some(Entry::Reserved(notify)) => Arc::clone(notify).notified_owned(),
                    None => {
                        let notify = Arc::new(Notify::new());
                        names.insert(name.into(), Entry::Reserved(Arc::clone(&notify)));
                        return Lookup::Reserved(Reservation { registry: self, name: name.to_owned(), notify });
                    }
                }
            };
            decided.await;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

fn cost(name: &str) -> u64 {
    name.len() as u64 + OVERHEAD_BYTES
}

/// Its former holder no longer pays for a name.
fn take_from(holder: &Actor, name: &str) {
    let mut inner = holder.lock();
    if inner.relations.as_mut().is_some_and(|known| known.names.remove(name)) {
        holder.release_memory(cost(name));
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut names = self.registry.lock();
        if matches!(names.get(self.name.as_str()), Some(Entry::Reserved(notify)) if Arc::ptr_eq(notify, &self.notify)) {
            names.remove(self.name.as_str());
        }
        drop(names);
        self.notify.notify_waiters();
    }
}
