//! Preemption: a guest that sees a new epoch suspends. As a rule it has used up its time slice; else somebody was woken by an
//! alarm, and it goes on behind that one.
//!
//! A guest whose slice is over is a spinner, and spinners take turns: only as many as there are threads are runnable at once,
//! the others wait in a queue of their own. So the run queues of tokio stay free for actors that were woken, and after every
//! slice the thread looks for timers and I/O (`yield_now` is deferred until then) and runs those that were woken first. A woken
//! actor waits for one slice, however many spin.
//!
//! ```text
//! Running --slice over--> Deferred --driver polled--> Behind              a turn was free, or nobody else waits
//!                                           `-------> Queued(ticket)
//! Queued --another one's slice was over, or it suspended by itself--> Behind
//! Behind --those that were woken before had their turn--> HasTurn
//! ```

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use wasmtime::{Store, UpdateDeadline};

use super::Engine;
use crate::actor::{Pause, note_run};
use crate::guest::Guest;

thread_local! {
    /// The epoch in which the poll of a guest began that runs on this thread.
    static EPOCH: Cell<u64> = const { Cell::new(0) };
    /// Set by a guest that saw the end of an epoch, for the poll that it suspends.
    static EPOCH_OVER: Cell<bool> = const { Cell::new(false) };
}

/// Makes the guest of a store suspend at the end of an epoch.
///
/// Wasmtime asks when it sees one beyond the store's deadline, which is also so for a guest that was just woken after a long
/// wait: its epoch begins only now.
pub(super) fn arm(store: &mut Store<Guest>) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| {
        let guest = store.data_mut();
        guest.check_fuel()?;
        if guest.node.engine.clock.epochs() == EPOCH.get() {
            return Ok(UpdateDeadline::Continue(1));
        }
        guest.was_preempted = true;
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(EpochOver { told: false })))
    });
}

/// Suspends once, and says why.
struct EpochOver {
    told: bool,
}

impl Future for EpochOver {
    type Output = ();

    /// Whoever polls the guest sees to it that it is polled again: no waker is registered here.
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.told {
            return Poll::Ready(());
        }
        self.told = true;
        EPOCH_OVER.set(true);
        Poll::Pending
    }
}

/// The turns of the spinners of one engine.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// Spinners that have a turn.
    running: usize,
    waiting: VecDeque<(u64, Waker)>,
    next_ticket: u64,
}

impl Queue {
    fn enlist(&mut self, waker: &Waker) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back((ticket, waker.clone()));
        ticket
    }
}

impl Turns {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: the caller has a turn. Else its ticket.
    fn take(&self, waker: &Waker) -> Option<u64> {
        let threads = tokio::runtime::Handle::try_current().map_or(1, |handle| handle.metrics().num_workers());
        let mut queue = self.lock();
        if queue.running < threads && queue.waiting.is_empty() {
            queue.running += 1;
            return None;
        }
        Some(queue.enlist(waker))
    }

    /// Gives the caller's turn to the next one and queues the caller, unless nobody waits. `None`: the caller keeps it.
    fn rotate(&self, waker: &Waker) -> Option<u64> {
        let (next, ticket) = {
            let mut queue = self.lock();
            let (_, next) = queue.waiting.pop_front()?;
            let ticket = queue.enlist(waker);
            (next, ticket)
        };
        next.wake();
        Some(ticket)
    }

    /// Ends a turn: the next one has it.
    fn pass(&self) {
        let next = {
            let mut queue = self.lock();
            let next = queue.waiting.pop_front();
            if next.is_none() {
                queue.running -= 1;
            }
            next
        };
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }

    /// Whether the holder of that ticket still waits; renews its waker then.
    fn still_waits(&self, ticket: u64, waker: &Waker) -> bool {
        match self.lock().waiting.iter_mut().find(|(other, _)| *other == ticket) {
            Some((_, known)) => {
                known.clone_from(waker);
                true
            }
            None => false,
        }
    }

    /// Gives a ticket up. One whose turn had come passes it on.
    fn give_up(&self, ticket: u64) {
        let waited = {
            let mut queue = self.lock();
            let before = queue.waiting.len();
            queue.waiting.retain(|(other, _)| *other != ticket);
            before != queue.waiting.len()
        };
        if !waited {
            self.pass();
        }
    }
}

pin_project! {
    /// A guest's future, preempted fairly.
    pub(crate) struct Preempted<F> {
        // Given up before the body is.
        share: Share,
        #[pin]
        body: F,
    }
}

/// One guest's share of the threads.
struct Share {
    engine: Arc<Engine>,
    stage: Stage,
}

enum Stage {
    /// Not a spinner, or one that suspended by itself since.
    Running,
    /// A spinner that has a turn.
    HasTurn,
    /// The thread looks for timers and I/O first. It keeps its turn until then: whoever has the next one would run at once.
    /// Where the slice is not over, for somebody else was woken, it goes on then as before.
    Deferred { driver: Pin<Box<dyn Future<Output = ()> + Send>>, has_turn: bool, over: bool },
    /// A spinner that waits for a turn.
    Queued(u64),
    /// It may go on behind those that were woken before.
    Behind { has_turn: bool },
}

impl<F> Preempted<F> {
    pub(super) fn new(engine: Arc<Engine>, body: F) -> Self {
        Self { share: Share { engine, stage: Stage::Running }, body }
    }
}

impl Share {
    /// Whether it may go on.
    fn may_run(&mut self, context: &mut Context<'_>) -> bool {
        match &mut self.stage {
            Stage::Running | Stage::HasTurn => return true,
            Stage::Behind { has_turn } => {
                self.stage = if *has_turn { Stage::HasTurn } else { Stage::Running };
                return true;
            }
            Stage::Queued(ticket) => {
                if self.engine.turns.still_waits(*ticket, context.waker()) {
                    return false;
                }
                self.stage = Stage::Behind { has_turn: true };
            }
            Stage::Deferred { driver, has_turn, over } => {
                if driver.as_mut().poll(context).is_pending() {
                    return false;
                }
                let waker = context.waker();
                let ticket = match (*over, *has_turn) {
                    (true, true) => self.engine.turns.rotate(waker),
                    (true, false) => self.engine.turns.take(waker),
                    (false, _) => None,
                };
                if let Some(ticket) = ticket {
                    self.stage = Stage::Queued(ticket);
                    return false;
                }
                self.stage = Stage::Behind { has_turn: *has_turn || *over };
            }
        }
        // Who was woken last is first on this thread; who wakes itself is last.
        context.waker().wake_by_ref();
        false
    }
}

impl<F: Future> Future for Preempted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let share = this.share;
        if !share.may_run(context) {
            Pause::MakesWay.note();
            return Poll::Pending;
        }
        share.engine.clock.running();
        EPOCH.set(share.engine.clock.epochs());
        let slices = share.engine.clock.slices();
        EPOCH_OVER.set(false);
        let before = share.engine.clock.ticked();
        let polled = this.body.poll(context);
        note_run(share.engine.clock.ticked() - before);
        let has_turn = matches!(share.stage, Stage::HasTurn);
        share.stage = Stage::Running;
        if polled.is_pending() && EPOCH_OVER.take() {
            let over = share.engine.clock.slices() != slices;
            if over { Pause::SliceOver } else { Pause::MakesWay }.note();
            let mut driver = Box::pin(tokio::task::yield_now());
            let looks = driver.as_mut().poll(context);
            debug_assert!(looks.is_pending(), "the task is woken when the thread has looked");
            share.stage = Stage::Deferred { driver, has_turn, over };
        } else if has_turn {
            share.engine.turns.pass();
        }
        polled
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        match self.stage {
            Stage::HasTurn | Stage::Deferred { has_turn: true, .. } | Stage::Behind { has_turn: true } => {
                self.engine.turns.pass()
            }
            Stage::Queued(ticket) => self.engine.turns.give_up(ticket),
            Stage::Running | Stage::Deferred { has_turn: false, .. } | Stage::Behind { has_turn: false } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noop() -> Waker {
        Waker::noop().clone()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn as_many_spinners_have_a_turn_as_there_are_threads() {
        let turns = Turns::default();
        assert_eq!((turns.take(&noop()), turns.take(&noop())), (None, None));
        let (third, fourth) = (turns.take(&noop()).unwrap(), turns.take(&noop()).unwrap());
        assert!(turns.still_waits(third, &noop()));
        turns.pass();
        assert!(!turns.still_waits(third, &noop()), "the one that waited longest has the turn");
        assert!(turns.still_waits(fourth, &noop()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_slice_that_is_over_lets_the_next_one_run() {
        let turns = Turns::default();
        assert_eq!(turns.take(&noop()), None);
        assert_eq!(turns.rotate(&noop()), None, "nobody else wants it");
        let second = turns.take(&noop()).unwrap();
        let first = turns.rotate(&noop()).unwrap();
        assert!(!turns.still_waits(second, &noop()));
        assert!(turns.still_waits(first, &noop()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_turn_is_never_lost() {
        let turns = Turns::default();
        assert_eq!(turns.take(&noop()), None);
        let (second, third) = (turns.take(&noop()).unwrap(), turns.take(&noop()).unwrap());
        turns.give_up(second);
        turns.pass();
        assert!(!turns.still_waits(third, &noop()));
        turns.give_up(third);
        assert_eq!(turns.lock().running, 0, "the turn of one that was dropped goes on");
        assert_eq!(turns.take(&noop()), None);
    }
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn whose_turn_has_come_is_behind_those_that_were_woken_before() {
        let engine = Arc::new(Engine::new(crate::engine::Capacity { actors: 1 }).unwrap());
        assert_eq!(engine.turns.take(&noop()), None);
        let ticket = engine.turns.take(&noop()).unwrap();
        engine.turns.pass();
        let mut share = Share { engine, stage: Stage::Queued(ticket) };
        let (log, heard) = std::sync::mpsc::channel();
        let woken = log.clone();
        tokio::spawn(async move {
            tokio::spawn(async move { woken.send("woken").unwrap() });
            // Who is spawned, or woken, last would be first.
            tokio::spawn(async move {
                std::future::poll_fn(|context| if share.may_run(context) { Poll::Ready(()) } else { Poll::Pending }).await;
                log.send("spinner").unwrap();
            });
        });
        let order = tokio::task::spawn_blocking(move || heard.iter().collect::<Vec<_>>()).await.unwrap();
        assert_eq!(order, ["woken", "spinner"]);
    }
}
