//! Goes over all actors again and again, and asks those that are idle to settle ([`System::ask_idle`]): in an arena they give
//! back memory (`host/idle.rs`).
//!
//! What ended actors leave in arenas is given back here, too, where nobody has done it before.
//!
//! That begins with the first actor in an arena, and pauses while no guest runs and nobody is left to be asked: an idle
//! process does nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::actor::{ActorId, System, go_behind};
use crate::node::Node;

/// Between two sweeps, at least. An actor is idle when it has waited for one of these, and at most two.
const PERIOD: Duration = Duration::from_secs(1);
/// Of the time of one thread, looking at those that have nothing to do takes no more than one part in so many.
const SHARE: u32 = 10;
/// So many are looked at in one go: some 25 us.
const AT_ONCE: usize = 256;
/// Of these so many before somebody else has a turn, if one of them was asked: those that were woken have theirs then.
const ASKED_AT_ONCE: usize = 16;

/// Starts to sweep, until the result is dropped.
pub(crate) fn start(node: &Arc<Node>) -> AbortOnDropHandle<()> {
    let node = Arc::clone(node);
    AbortOnDropHandle::new(tokio::spawn(async move {
        node.engine.first_in_arena().await;
        tokio::join!(sweep(&node.system, node.engine.activity()), node.engine.clean_arenas(PERIOD));
    }))
}

/// Sweeps again and again, as long as there is a clock that says whether guests run.
async fn sweep(system: &System, mut guests_run: watch::Receiver<bool>) {
    let mut took = Duration::ZERO;
    loop {
        tokio::time::sleep(PERIOD.max(took * SHARE)).await;
        // Before the look: what begins to run behind it is seen in the end.
        let run = *guests_run.borrow_and_update();
        let found = sweep_once(system).await;
        took = found.took;
        if !run && !found.may_change && guests_run.changed().await.is_err() {
            return;
        }
    }
}

#[derive(Default)]
struct Found {
    /// Another sweep may find something to do, although nothing runs.
    may_change: bool,
    /// Time of looks by which nobody was asked.
    took: Duration,
}

async fn sweep_once(system: &System) -> Found {
    let mut found = Found::default();
    for part in system.parts() {
        for ids in part.chunks(AT_ONCE) {
            look_at(system, ids, &mut found).await;
            go_behind().await;
        }
    }
    found
}

async fn look_at(system: &System, ids: &[ActorId], found: &mut Found) {
    for ids in ids.chunks(ASKED_AT_ONCE) {
        let began = Instant::now();
        let looked = system.ask_idle(ids);
        found.may_change |= looked.waiting + looked.asked > 0;
        if looked.asked == 0 {
            found.took += began.elapsed();
        } else {
            go_behind().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::actor::{ActorLimits, Began, ExitReason, Filter, Prepare, Quota, Waited};

    /// One that waits for ever for a message, and counts how often it is asked.
    fn waits(system: &Arc<System>) -> Arc<AtomicUsize> {
        let limits = ActorLimits { memory: 1 << 20, mailbox: 1 << 10 };
        let prepare = Prepare { class: "test".into(), limits, quota: Quota::new(10, None), counts_in: None };
        let (actor, asked) = (system.prepare(prepare).unwrap(), Arc::<AtomicUsize>::default());
        let (own, count) = (Arc::clone(&actor), Arc::clone(&asked));
        let body = async move {
            own.take_or_wait(Filter::Any);
            while let Waited::Asked = own.waited(Began::Now, pin!(None::<std::future::Pending<()>>)).await {
                count.fetch_add(1, Ordering::Relaxed);
            }
            ExitReason::Normal
        };
        drop(system.launch(&actor, None, None, body).unwrap());
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_wait_are_asked_once_and_then_nobody_looks_until_a_guest_has_run() {
        let system = Arc::<System>::default();
        let (tells, guests_run) = watch::channel(false);
        let first: Vec<_> = (0..1_000).map(|_| waits(&system)).collect();
        let swept = Arc::clone(&system);
        let sweeper = tokio::spawn(async move { sweep(&swept, guests_run).await });
        let counts =
            |asked: &[Arc<AtomicUsize>], times| asked.iter().filter(|asked| asked.load(Ordering::Relaxed) == times).count();
        tokio::time::sleep(PERIOD * 5).await;
        assert_eq!(counts(&first, 1), 1_000);
        let later = [waits(&system)];
        tokio::time::sleep(PERIOD * 1_000).await;
        assert_eq!((counts(&first, 1), counts(&later, 0)), (1_000, 1), "nobody has looked");
        tells.send(true).unwrap();
        tokio::time::sleep(PERIOD * 5).await;
        assert_eq!((counts(&first, 1), counts(&later, 1)), (1_000, 1));
        assert!(!sweeper.is_finished());
        tells.send(false).unwrap();
        drop(tells);
        sweeper.await.unwrap();
    }
}
