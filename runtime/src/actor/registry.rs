//! Names of actors. A name goes with its actor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::ActorId;

/// Names that one actor may have: far more than a program gives, and little memory.
pub(super) const MAX_NAMES: usize = 1_024;
/// Bytes of one name. Lunatic's SDK puts the types of a process in front of the name that a program gives.
const MAX_NAME_BYTES: usize = 1_024;

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
}

impl NameError {
    pub(super) fn check_length(name: &str) -> Result<(), Self> {
        if name.len() > MAX_NAME_BYTES { Err(Self::TooLong { bytes: name.len() }) } else { Ok(()) }
    }
}

enum Entry {
    Taken(ActorId),
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
    name: String,
    notify: Arc<Notify>,
}

#[derive(Default)]
pub(super) struct Registry(Mutex<HashMap<String, Entry>>);

impl Registry {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, name: String, id: ActorId) {
        if let Some(Entry::Reserved(notify)) = self.lock().insert(name, Entry::Taken(id)) {
            notify.notify_waiters();
        }
    }

    pub(super) fn remove(&self, name: &str) -> Option<ActorId> {
        match self.lock().remove(name)? {
            Entry::Taken(id) => Some(id),
            Entry::Reserved(notify) => {
                notify.notify_waiters();
                None
            }
        }
    }

    /// Takes a name away if it still is that actor's.
    pub(super) fn forget(&self, name: &str, id: ActorId) {
        let mut names = self.lock();
        if matches!(names.get(name), Some(Entry::Taken(holder)) if *holder == id) {
            names.remove(name);
        }
    }

    pub(super) async fn get(&self, name: &str) -> Option<ActorId> {
        loop {
            let decided = match self.lock().get(name)? {
                Entry::Taken(id) => return Some(*id),
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
                    Some(Entry::Taken(id)) => return Lookup::Taken(*id),
                    Some(Entry::Reserved(notify)) => Arc::clone(notify).notified_owned(),
                    None => {
                        let notify = Arc::new(Notify::new());
                        names.insert(name.to_owned(), Entry::Reserved(Arc::clone(&notify)));
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

impl Reservation<'_> {
    /// Gives the name; returns it.
    pub(super) fn give(self, id: ActorId) -> String {
        self.registry.put(self.name.clone(), id);
        self.name.clone()
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut names = self.registry.lock();
        if matches!(names.get(&self.name), Some(Entry::Reserved(notify)) if Arc::ptr_eq(notify, &self.notify)) {
            names.remove(&self.name);
        }
        drop(names);
        self.notify.notify_waiters();
    }
}
