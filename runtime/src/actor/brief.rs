//! Those that end in their first turn need no task of their own: whoever has their spawner's turn runs them behind it. What
//! they cost is theirs alone then, and what was written when they were made is still near.
//!
//! Nobody knows before whether one ends at once, but those of one spawner are alike: twice as many as did are run so the next
//! time. The others have tasks, as any actor, and other threads take them.

use std::time::Duration;

use super::gate::AT_ONCE;
use super::sync::{self, AtomicI8, Instant, Ordering};
use super::turn::{Task, Turn};

/// First turns take so long together at the most, but for the last: enough for a handful that do little. Those that take
/// longer are better off on several threads.
pub(super) const BRIEF: Duration = Duration::from_micros(100);
/// As many as a spawner holds back before it makes way for them.
const MOST: i8 = AT_ONCE.cast_signed();
/// How often it is not tried again after one did not end at once.
const PATIENCE: i8 = 16;

/// What a spawner's turns have shown of those that it spawns. Only whoever has its turn reads or writes it.
pub(super) struct Brief {
    /// So many may have their first turn at once; below 1, so often none does.
    trusted: AtomicI8,
}

impl Default for Brief {
    fn default() -> Self {
        Self { trusted: AtomicI8::new(1) }
    }
}

impl Brief {
    /// How many of those that are let go now are to have their first turn at once.
    pub(super) fn at_once(&self) -> usize {
        let trusted = self.trusted.load(Ordering::Relaxed);
        if trusted < 1 {
            self.trusted.store(trusted + 1, Ordering::Relaxed);
        }
        usize::try_from(trusted).unwrap_or(0)
    }

    /// Whether all that had it ended in it.
    fn learn(&self, ended: bool) {
        let trusted = self.trusted.load(Ordering::Relaxed);
        let next = if ended { (2 * trusted).min(MOST) } else { 1 - PATIENCE };
        if next != trusted {
            self.trusted.store(next, Ordering::Relaxed);
        }
    }
}

/// Gives each its first turn. A task has only who does not end in it, or who comes behind such a one. How the last turn was
/// over.
pub(super) fn first_turns(due: Vec<Task>, brief: &Brief) -> Turn {
    let (began, mut last) = (Instant::now(), Turn::Ended);
    let mut all_ended = true;
    for task in due {
        if all_ended {
            last = task.0.take_turn(None);
            last.lets_go(&task.0).into_iter().for_each(sync::spawn);
            all_ended = last == Turn::Ended && began.elapsed() < BRIEF;
            if last == Turn::Ended {
                continue;
            }
        }
        sync::spawn(task);
    }
    brief.learn(all_ended);
    last
}

#[cfg(test)]
#[cfg(not(interleavings))]
mod tests {
    use super::*;

    #[test]
    fn more_are_trusted_after_each_success_and_none_for_a_while_after_a_failure() {
        let brief = Brief::default();
        let trusted: Vec<_> = std::iter::repeat_with(|| {
            let trusted = brief.at_once();
            brief.learn(true);
            trusted
        })
        .take(5)
        .collect();
        assert_eq!(trusted, [1, 2, 4, 8, 8]);
        brief.learn(false);
        assert!((0..PATIENCE).all(|_| brief.at_once() == 0));
        assert_eq!(brief.at_once(), 1);
    }
}
