//! All actors that are alive, by id.

use std::sync::{Arc, PoisonError};

use super::sync::{Mutex, MutexGuard};
use super::{Actor, ActorId, NumberMap};

/// Enough that two cores spawning at full speed seldom meet in one.
#[cfg(not(interleavings))]
const SHARDS: usize = 64;
/// Each is a step in which others can come, and those in which nothing can go wrong hide the others.
#[cfg(interleavings)]
const SHARDS: usize = 1;

/// On cache lines of its own: ids that follow each other are in shards that do.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Actors>);

type Actors = NumberMap<ActorId, Arc<Actor>>;

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Actors> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Table([Shard; SHARDS]);

impl Default for Table {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Shard::default()))
    }
}

impl Table {
    fn shard(&self, id: ActorId) -> MutexGuard<'_, Actors> {
        let index = usize::try_from(id.0 % SHARDS as u64).unwrap_or_default();
        self.0[index].lock()
    }

    pub(super) fn insert(&self, actor: Arc<Actor>) {
        self.shard(actor.id).insert(actor.id, actor);
    }

    pub(super) fn remove(&self, id: ActorId) {
        self.shard(id).remove(&id);
    }

    pub(super) fn get(&self, id: ActorId) -> Option<Arc<Actor>> {
        self.shard(id).get(&id).cloned()
    }

    /// What `look` sees of one, while nobody else comes to those beside it.
    pub(super) fn look_at<T>(&self, id: ActorId, look: impl FnOnce(&Actor) -> T) -> Option<T> {
        self.shard(id).get(&id).map(|actor| look(actor))
    }

    /// Ids of all, in parts: each is that of a moment, and no lock is held in between.
    pub(super) fn parts(&self) -> impl Iterator<Item = Vec<ActorId>> {
        self.0.iter().map(|shard| shard.lock().keys().copied().collect())
    }

    pub(super) fn all(&self) -> Vec<Arc<Actor>> {
        let mut all = Vec::new();
        for shard in &self.0 {
            all.extend(shard.lock().values().cloned());
        }
        all
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().len()).sum()
    }
}
