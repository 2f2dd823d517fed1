//! Who has waited for a message for a while is asked to settle: to take less memory until one comes. What it does for that is
//! its body's business; here is who is asked, and when.
//!
//! Whoever asks looks at all actors again and again, and counts how often it found one waiting. Being asked has an actor's
//! task run once more, and costs it something when a message comes. So each time that it is asked, it takes twice as many
//! looks until the next: one that works now and then is soon left alone.
//!
//! ```text
//! RUNNING --waits--> SUSPENDED --look--> SUSPENDED + 1 --look--> ... --look--> SETTLED    asked, if it waits for a message
//!    ^_____________________|______________________|_____________________________|
//! ```
//!
//! Who runs pays nothing for this but what it writes anyway: a look that meets it in between has no effect.

use super::look::{Look, SETTLED, SUSPENDED};
use super::sync::{AtomicBool, AtomicU8, Ordering};
use super::{Actor, ActorId, System};

/// The most looks that it takes, as a power of two.
const MOST_LOOKS: u8 = 6;

/// What is known of how an actor waits, beside its phase.
#[derive(Default)]
pub(super) struct Idle {
    /// It is to settle, when it is polled.
    asked: AtomicBool,
    /// How often it was asked, up to [`MOST_LOOKS`].
    times: AtomicU8,
}

impl Idle {
    /// Whether its own task, which has nothing to receive, is to settle. It is not asked again before somebody looks.
    pub(super) fn is_asked(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked {
            self.asked.store(false, Ordering::Relaxed);
        }
        asked
    }
}

/// What a look at some actors found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Those that another look may find otherwise.
    pub(crate) waiting: usize,
    /// Those that were asked.
    pub(crate) asked: usize,
}

enum Phase {
    /// It does something, or has settled.
    Other,
    /// It waits.
    Waits,
    /// It has waited for long enough.
    HasWaited,
}

impl Look {
    /// Counts a look at one that waits.
    fn looked_at(&self) -> Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        if !(SUSPENDED..SETTLED).contains(&phase) {
            return Phase::Other;
        }
        let enough = phase - SUSPENDED >= 1 << self.idle.times.load(Ordering::Relaxed);
        let next = if enough { SETTLED } else { phase + 1 };
        match self.phase.compare_exchange(phase, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) if enough => Phase::HasWaited,
            // It may have run just now, and wait again.
            _ => Phase::Waits,
        }
    }
}

impl System {
    /// Ids of all actors, in parts, for [`Self::ask_idle`].
    pub(crate) fn parts(&self) -> impl Iterator<Item = Vec<ActorId>> {
        self.table.parts()
    }

    /// Looks at these, and asks those to settle that have waited for a message for long enough.
    pub(crate) fn ask_idle(&self, ids: &[ActorId]) -> Looked {
        let mut looked = Looked::default();
        for id in ids {
            match self.table.look_at(*id, |actor| actor.look.looked_at()) {
                None | Some(Phase::Other) => {}
                Some(Phase::Waits) => looked.waiting += 1,
                Some(Phase::HasWaited) => looked.asked += usize::from(self.find(*id).is_some_and(|actor| actor.ask())),
            }
        }
        looked
    }
}

impl Actor {
    /// Asks it to settle, if it waits for a message: nothing else that it may wait for has a way to hear of it.
    fn ask(&self) -> bool {
        let waker = {
            let inner = self.lock();
            inner.waker.clone().filter(|_| inner.mailbox.awaited().is_some())
        };
        let Some(waker) = waker else { return false };
        let Idle { asked, times } = &self.look.idle;
        times.store((times.load(Ordering::Relaxed) + 1).min(MOST_LOOKS), Ordering::Relaxed);
        // Its task sees that, for it is woken behind it.
        asked.store(true, Ordering::Relaxed);
        waker.wake();
        true
    }
}
