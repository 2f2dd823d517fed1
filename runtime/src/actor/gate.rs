//! What an actor does to one that it has just spawned comes before that one's first instruction, on whatever thread.
//!
//! A new actor is held back until its spawner suspends, ends, or has had one whole time slice since: who kills, links or
//! registers it right after the spawn meets an actor that has done nothing yet, and who goes on computing delays it by
//! two slices at most.
//!
//! ```text
//! spawner   |-- spawn(turn 5) --slice over--|--------- slice ---------|----
//! turn                5               6                          7 = 5 + WHOLE: the new one starts
//! ```

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::Actor;
use super::sync::{Ordering, thread_local};

/// Slice ends after which a whole slice has passed since any moment before.
const WHOLE: u8 = 2;

thread_local! {
    /// Why the poll of an actor's body that runs on this thread is not finished.
    static PAUSE: Cell<Pause> = const { Cell::new(Pause::Suspended) };
}

/// Why an actor does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It waits for something.
    Suspended,
    /// Its time slice is over.
    SliceOver,
    /// It was not run at all: others have their turn.
    NotRun,
}

impl Pause {
    /// Says so of the poll that is under way on this thread.
    pub(crate) fn note(self) {
        PAUSE.with(|pause| pause.set(self));
    }

    /// What was said last.
    pub(super) fn noted() -> Self {
        PAUSE.with(Cell::get)
    }
}

#[derive(Default)]
pub(super) struct Gate {
    turn: u64,
    held_back: Vec<Waker>,
}

/// One that is held back, at its spawner's gate.
pub(super) struct HeldBack {
    spawner: Arc<Actor>,
    turn: u64,
}

impl HeldBack {
    pub(super) fn by(spawner: &Arc<Actor>) -> Self {
        spawner.has_spawned.store(WHOLE, Ordering::Relaxed);
        Self { spawner: Arc::clone(spawner), turn: spawner.lock().gate.turn }
    }

    /// Whether it has to wait; it is woken then.
    pub(super) fn is_held(&self, context: &Context<'_>) -> bool {
        let mut inner = self.spawner.lock();
        if !inner.alive || inner.gate.turn >= self.turn + u64::from(WHOLE) {
            return false;
        }
        inner.gate.held_back.push(context.waker().clone());
        true
    }
}

impl Gate {
    pub(super) fn open(&mut self) -> Vec<Waker> {
        self.turn += u64::from(WHOLE);
        std::mem::take(&mut self.held_back)
    }
}

impl Actor {
    /// Lets those go that it has spawned, as far as this pause of its own allows.
    pub(super) fn pass_gate(&self, pause: Pause) {
        let slices = self.has_spawned.load(Ordering::Relaxed);
        let (left, wakers) = match pause {
            _ if slices == 0 => return,
            Pause::NotRun => return,
            Pause::Suspended => (0, self.lock().gate.open()),
            Pause::SliceOver => {
                let mut inner = self.lock();
                inner.gate.turn += 1;
                (slices - 1, std::mem::take(&mut inner.gate.held_back))
            }
        };
        self.has_spawned.store(left, Ordering::Relaxed);
        for waker in wakers {
            waker.wake();
        }
    }
}
