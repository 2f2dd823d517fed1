//! The end of an actor: nothing reaches it any more, all that was its own is given back, then others are told.

use std::sync::PoisonError;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::exit::Ended;
use super::link::Relations;
use super::sync::Mutex;
use super::{Actor, ExitReason};

/// Ends that are logged within [`LOG_WINDOW`]: an app that fails in a loop must not fill the node's disk.
const MAX_LOGGED: u32 = 100;
/// The time over which they are counted.
const LOG_WINDOW: Duration = Duration::from_secs(1);

impl Actor {
    /// Marks the end: nothing reaches this actor from now on. An end that others decided comes before its own.
    ///
    /// Those who wait for room in its mailbox go on.
    pub(super) fn finish(&self, own: Ended) -> (Ended, Option<Box<Relations>>) {
        let mut inner = self.lock();
        inner.alive = false;
        inner.waker = None;
        let ended = inner.killed.take().map_or(own, Ended::from);
        // Dropped behind the lock: resources in messages close connections.
        let (left, senders) = inner.mailbox.close();
        let relations = inner.relations.take();
        let charge = inner.charge.take();
        drop(inner);
        drop((left, self.leave_inbox(), charge));
        senders.into_iter().for_each(Waker::wake);
        (ended, relations)
    }
}

/// Writes ends to the log, within bounds.
#[derive(Default)]
pub(super) struct Log(Mutex<Window>);

#[derive(Default)]
struct Window {
    start: Option<Instant>,
    logged: u32,
    dropped: u64,
}

impl Log {
    pub(super) fn end(&self, actor: &Actor, reason: &ExitReason) {
        let (id, class) = (actor.id.0, actor.class());
        // What somebody decided is no event; nor is what follows from another end, which has its own line.
        if matches!(reason, ExitReason::Normal | ExitReason::Killed | ExitReason::LinkDied { .. }) {
            tracing::debug!(actor = id, %class, "{reason}");
            return;
        }
        let Some(dropped) = self.admit(Instant::now()) else { return };
        if dropped > 0 {
            tracing::warn!("{dropped} more actors ended badly, too fast to log each");
        }
        match reason {
            ExitReason::HostFault(_) => tracing::error!(actor = id, %class, "{reason}"),
            _ => tracing::warn!(actor = id, %class, "{reason}"),
        }
    }

    /// Whether there is room for one more line, and how many had none since the last.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.start.is_none_or(|start| now.duration_since(start) >= LOG_WINDOW) {
            window.start = Some(now);
            window.logged = 0;
        }
        if window.logged >= MAX_LOGGED {
            window.dropped += 1;
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.dropped))
    }
}

#[cfg(test)]
#[cfg(not(interleavings))]
mod tests {
    use super::*;

    #[test]
    fn one_line_more_than_fit_into_a_second_is_counted_not_written() {
        let (log, start) = (Log::default(), Instant::now());
        for _ in 0..MAX_LOGGED {
            assert_eq!(log.admit(start), Some(0));
        }
        assert_eq!((log.admit(start), log.admit(start)), (None, None));
        assert_eq!(log.admit(start + LOG_WINDOW), Some(2));
    }
}
