//! Room for many more actors than a pool can have: a second engine, whose memories and stacks are slots of a few large
//! mappings.
//!
//! Its code checks bounds, and its spawns cost more: so it takes those actors only that the pool has no place for.

mod arena;
mod discard;
mod image;
mod memory;
mod stack;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use wasmtime::Linker;

use self::arena::Arena;
pub(crate) use self::image::{GivenBack, Image};
use self::memory::{Creator, Memories};
use self::stack::Stacks;
use super::config::{self, Allocation, STACK_BYTES};
use crate::guest::Guest;

/// A page of the system.
const PAGE: usize = 4096;
/// Guard at the lower end of a stack's slot.
pub(super) const GUARD_BYTES: usize = PAGE;

/// The second engine.
pub(super) struct Dense {
    pub(super) engine: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
    memories: Arc<Memories>,
    stacks: Arc<Arena>,
    used: AtomicBool,
    first_use: Notify,
    unclean: Arc<Notify>,
}

/// What the configuration of such an engine takes.
pub(super) struct Slots {
    pub(super) memories: Arc<dyn wasmtime::MemoryCreator>,
    pub(super) stacks: Arc<dyn wasmtime::StackCreator>,
}

impl Dense {
    /// An engine for so many actors.
    pub(super) fn new(actors: u32) -> wasmtime::Result<Self> {
        let unclean = Arc::default();
        let memories = Arc::new(Memories::new(actors, &unclean));
        let stacks = Arena::reserve(STACK_BYTES, config::stacks(actors), &unclean)?;
        let slots = Slots { memories: Arc::new(Creator(Arc::clone(&memories))), stacks: Arc::new(Stacks(Arc::clone(&stacks))) };
        let engine = wasmtime::Engine::new(&config::config(Allocation::Slots(slots)))?;
        let linker = crate::host::linker(&engine)?;
        Ok(Self { engine, linker, memories, stacks, used: AtomicBool::new(false), first_use: Notify::new(), unclean })
    }

    /// Says that there is an actor.
    pub(super) fn is_used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
            self.first_use.notify_one();
        }
    }

    /// Waits for that, if there was none yet.
    pub(super) async fn first_use(&self) {
        let told = self.first_use.notified();
        if !self.used.load(Ordering::Relaxed) {
            told.await;
        }
    }

    /// Memories and stacks in use.
    pub(super) fn used(&self) -> (usize, usize) {
        (self.memories.arenas().map(|arena| arena.used()).sum(), self.stacks.used())
    }

    /// Waits until a place was given back in which there may be something.
    pub(super) async fn unclean(&self) {
        self.unclean.notified().await;
    }

    /// Discards what is in places that were given back.
    pub(super) fn clean(&self) {
        self.memories.arenas().chain([&self.stacks]).for_each(|arena| arena.clean());
    }
}
