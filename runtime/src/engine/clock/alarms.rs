//! Alarms: who sleeps, or waits with a deadline, is woken by the clock's thread.
//!
//! Tokio's own timers count whole milliseconds, rounded up, and are looked at between the slices of guests: beside spinners
//! a sleep of 1 ms takes 2 to 3.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Clock;

/// As good as for ever.
const FAR: Duration = Duration::from_secs(1 << 30);
/// So many are woken under one lock, or who sets an alarm would wait for all that ring.
const AT_ONCE: usize = 64;

/// Those of one clock.
pub(super) struct Alarms(Mutex<Set>);

struct Set {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next_ticket: u64,
    /// When the clock looks at them next.
    look: Instant,
}

impl Default for Alarms {
    fn default() -> Self {
        Self(Mutex::new(Set { waiting: BTreeMap::new(), next_ticket: 0, look: Instant::now() }))
    }
}

impl Alarms {
    fn lock(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the clock has to look at them: no later than `latest`, and not before `soonest`, so that those of about the same
    /// time ring together.
    pub(super) fn plan(&self, latest: Instant, soonest: Instant) -> Instant {
        let mut set = self.lock();
        let first = set.waiting.first_key_value().map_or(latest, |((at, _), _)| (*at).max(soonest));
        set.look = first.min(latest);
        set.look
    }

    /// Wakes those whose time has come. Returns whether there were any.
    pub(super) fn ring(&self, now: Instant) -> bool {
        let mut rang = false;
        loop {
            let due = self.lock().take_due(now);
            rang |= !due.is_empty();
            let last = due.len() < AT_ONCE;
            due.into_iter().for_each(Waker::wake);
            if last {
                return rang;
            }
        }
    }

    /// Its ticket, and whether it rings before the clock would look.
    fn set(&self, at: Instant, waker: &Waker) -> (u64, bool) {
        let mut set = self.lock();
        let ticket = set.next_ticket;
        set.next_ticket += 1;
        set.waiting.insert((at, ticket), waker.clone());
        (ticket, at < set.look)
    }

    /// Whether it has not rung; renews its waker then.
    fn still_waits(&self, at: Instant, ticket: u64, waker: &Waker) -> bool {
        match self.lock().waiting.get_mut(&(at, ticket)) {
            Some(known) => {
                known.clone_from(waker);
                true
            }
            None => false,
        }
    }

    fn forget(&self, at: Instant, ticket: u64) {
        let waker = self.lock().waiting.remove(&(at, ticket));
        // Behind the lock: it may be the last that holds its task.
        drop(waker);
    }
}

impl Set {
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while due.len() < AT_ONCE
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }
}

/// A sleep. It begins when it is polled first.
pub(crate) struct Sleep {
    clock: Arc<Clock>,
    duration: Duration,
    /// While it is set: when it rings, and its ticket.
    alarm: Option<(Instant, u64)>,
}

impl Sleep {
    pub(crate) fn new(clock: Arc<Clock>, duration: Duration) -> Self {
        Self { clock, duration, alarm: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker();
        if let Some((at, ticket)) = self.alarm {
            if self.clock.alarms.still_waits(at, ticket, waker) {
                return Poll::Pending;
            }
            self.alarm = None;
            return Poll::Ready(());
        }
        if self.duration.is_zero() {
            return Poll::Ready(());
        }
        let now = Instant::now();
        let at = now.checked_add(self.duration).unwrap_or(now + FAR);
        let (ticket, earlier) = self.clock.alarms.set(at, waker);
        self.alarm = Some((at, ticket));
        if earlier {
            self.clock.look();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((at, ticket)) = self.alarm {
            self.clock.alarms.forget(at, ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn alarms_ring_when_their_time_has_come_and_once() {
        let (alarms, count, now) = (Alarms::default(), Arc::new(Count::default()), Instant::now());
        let waker = Waker::from(Arc::clone(&count));
        // More than are woken at once, some of them at the same time.
        for index in 0..200 {
            alarms.set(now + MS * (index / 2), &waker);
        }
        let rung = || count.0.load(Ordering::Relaxed);
        assert!(!alarms.ring(now - MS), "none is due");
        assert!(alarms.ring(now + 9 * MS));
        assert_eq!(rung(), 20);
        assert!(alarms.ring(now + 500 * MS) && !alarms.ring(now + 500 * MS));
        assert_eq!(rung(), 200);
    }

    #[test]
    fn the_clock_looks_for_the_first_but_not_too_often() {
        let (alarms, now) = (Alarms::default(), Instant::now());
        assert_eq!(alarms.plan(now + 9 * MS, now), now + 9 * MS, "none is set");
        let (late, earlier) = alarms.set(now + 10 * MS, Waker::noop());
        assert!(!earlier, "it has its time beyond the next look");
        let (first, earlier) = alarms.set(now + 3 * MS, Waker::noop());
        assert!(earlier);
        assert_eq!(alarms.plan(now + 9 * MS, now), now + 3 * MS);
        assert_eq!(alarms.plan(now + 9 * MS, now + 4 * MS), now + 4 * MS);
        alarms.forget(now + 3 * MS, first);
        alarms.forget(now + 10 * MS, late);
        assert_eq!(alarms.plan(now + 20 * MS, now), now + 20 * MS, "who gave up is not waited for");
    }

    #[tokio::test]
    async fn a_sleep_ends_after_its_time_whatever_the_clock_was_about_to_do() {
        let clock = Clock::start(std::iter::empty()).unwrap();
        let began = Instant::now();
        let long = tokio::spawn(Sleep::new(Arc::clone(&clock), Duration::from_secs(3_600)));
        let forever = tokio::spawn(Sleep::new(Arc::clone(&clock), Duration::MAX));
        Sleep::new(Arc::clone(&clock), Duration::ZERO).await;
        // Long enough for the clock to stop, for no guest runs: it starts anew for who comes then.
        for _ in 0..2 {
            Sleep::new(Arc::clone(&clock), 50 * MS).await;
        }
        assert!(began.elapsed() >= 100 * MS, "{:?}", began.elapsed());
        assert!(!long.is_finished() && !forever.is_finished());
        for task in [long, forever] {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert!(clock.alarms.lock().waiting.is_empty(), "who is gone has no alarm");
    }

    #[tokio::test]
    async fn who_is_woken_ends_an_epoch_of_those_that_run_but_not_their_slice() {
        let clock = Clock::start(std::iter::empty()).unwrap();
        let early = || clock.epochs() - clock.slices();
        let before = Instant::now();
        // An alarm that rings together with the end of a slice is no sign of either.
        while early() == 0 {
            assert!(before.elapsed() < Duration::from_secs(10), "nobody makes way");
            clock.running();
            Sleep::new(Arc::clone(&clock), 3 * MS / 10).await;
        }
        // Nobody runs.
        Sleep::new(Arc::clone(&clock), 5 * MS).await;
        let idle = early();
        for _ in 0..20 {
            Sleep::new(Arc::clone(&clock), 3 * MS / 10).await;
        }
        assert_eq!(early(), idle, "there was nobody to make way");
    }
}
