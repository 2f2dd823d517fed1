//! What an actor does to one that it has just spawned comes before that one's first instruction, on whatever thread.
//!
//! A new actor is held back until its spawner suspends, ends, or has had one whole time slice since: who kills, links or
//! registers it right after the spawn meets an actor that has done nothing yet, and who goes on computing delays it by
//! two slices at most. Nobody can run its task before, for nobody has it but the gate.
//!
//! ```text
//! spawner   |-- spawn --slice over--|--------- slice ---------|----
//!                  WHOLE            1                         0: the new one starts
//! ```
//!
//! Who spawns many suspends now and then ([`Actor::make_way`]): those run while the processor's caches still have what was
//! written when they were made, and the next ones get their places. Who of those that are let go need no task is told by
//! `brief.rs`.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use super::Actor;
use super::sync::{self, Ordering, thread_local};
use super::turn::Task;

/// Slice ends after which a whole slice has passed since any moment before.
const WHOLE: u8 = 2;
/// So many are held back before their spawner suspends for them. An actor that does little writes some 25 KiB, and eight of
/// them fit into the second cache of any processor; fewer are not faster.
pub(super) const AT_ONCE: u8 = 8;

thread_local! {
    /// Why the poll of an actor's body that runs on this thread is not finished.
    static PAUSE: Cell<Pause> = const { Cell::new(Pause::Suspended) };
}

/// Why an actor does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It waits for something.
    Suspended,
    /// It waits for a message.
    Receives,
    /// It waits for a message, and has done what it was asked to (`idle.rs`).
    Settled,
    /// Its time slice is over.
    SliceOver,
    /// Others come first: its slice is not over, or not begun.
    MakesWay,
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

/// Those that an actor holds back, each with the ends of slices until it is let go.
#[derive(Default)]
pub(super) struct Gate(Vec<(u8, Task)>);

impl Gate {
    /// Those that this pause of the spawner lets go.
    fn open(&mut self, pause: Pause) -> Vec<Task> {
        if pause == Pause::SliceOver {
            self.0.iter_mut().for_each(|(slices, _)| *slices -= 1);
            let due = self.0.partition_point(|(slices, _)| *slices == 0);
            return self.0.drain(..due).map(|(_, task)| task).collect();
        }
        std::mem::take(&mut self.0).into_iter().map(|(_, task)| task).collect()
    }
}

impl Actor {
    /// Starts the task of one that it has spawned as soon as it may run.
    pub(super) fn hold_back(&self, task: Task) {
        let mut inner = self.lock();
        if inner.alive {
            inner.gate.0.push((WHOLE, task));
            self.count_held(&inner.gate);
        } else {
            drop(inner);
            sync::spawn(task);
        }
    }

    /// Whether there is anybody to be let go.
    #[inline]
    pub(super) fn holds_back(&self) -> bool {
        self.held_back.load(Ordering::Relaxed) > 0
    }

    /// Lets those go that it has spawned, as far as this pause of its own allows, in the order in which they were spawned.
    pub(super) fn pass_gate(&self, pause: Pause) -> Vec<Task> {
        if !self.holds_back() || pause == Pause::MakesWay {
            return Vec::new();
        }
        let mut inner = self.lock();
        let due = inner.gate.open(pause);
        self.count_held(&inner.gate);
        due
    }

    fn count_held(&self, gate: &Gate) {
        self.held_back.store(u8::try_from(gate.0.len()).unwrap_or(u8::MAX), Ordering::Relaxed);
    }

    /// Suspends once when it holds many back: they run before it goes on. To be called before it spawns another.
    pub(crate) async fn make_way(&self) {
        if self.held_back.load(Ordering::Relaxed) >= AT_ONCE {
            go_behind().await;
        }
    }
}

/// Suspends once: those that wait in the queue of this thread run first.
pub(crate) async fn go_behind() {
    let mut goes = true;
    poll_fn(|context| {
        if !std::mem::take(&mut goes) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
