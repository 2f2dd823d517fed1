//! The clock of preemption and of sleeps: it counts epochs while guests run, and stops while none does.
//!
//! At the end of each epoch all guests that run suspend once: when their slice is over, and when an alarm has woken somebody
//! who would otherwise wait for that.

mod alarms;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wasmtime::{Engine, EngineWeak};

use alarms::Alarms;
pub(crate) use alarms::Sleep;

/// Time slice of a guest that does not suspend by itself.
const TICK: Duration = Duration::from_millis(1);
/// An epoch takes that long at least, however many are woken: what it costs guests to suspend stays a few percent.
const SHORTEST: Duration = Duration::from_micros(200);
/// What the clock's thread asks the scheduler for: the shortest slice that Linux gives (sched(7), `sched_runtime`).
const SLICE: Duration = Duration::from_micros(100);
/// Ticks without a running guest after which the clock stops, so that an idle pod uses no CPU.
const IDLE_TICKS: u32 = 20;
/// How often a stopped clock looks whether its engine still exists.
const STOPPED_LOOK: Duration = Duration::from_secs(1);

/// The clock of an engine.
#[derive(Default)]
pub(crate) struct Clock {
    /// Set by every guest that starts to run, cleared at the end of every slice.
    running: AtomicBool,
    stopped: AtomicBool,
    /// How often guests were told to suspend.
    epochs: AtomicU64,
    /// How often because a slice was over; else somebody was woken.
    slices: AtomicU64,
    /// Nanoseconds for which it ticked.
    ticked: AtomicU64,
    alarms: Alarms,
    /// Whether it ticks, for who has nothing to do while it does not.
    ticks: watch::Sender<bool>,
    thread: OnceLock<Thread>,
}

impl Clock {
    /// Starts the clock of engines; it ends with them.
    pub(super) fn start<'a>(engines: impl Iterator<Item = &'a Engine>) -> wasmtime::Result<Arc<Self>> {
        let clock = Arc::new(Self::default());
        let (engines, own) = (engines.map(Engine::weak).collect::<Vec<_>>(), Arc::clone(&clock));
        let thread = thread::Builder::new().name("perigee-clock".into()).spawn(move || own.run(&engines))?;
        clock.thread.get_or_init(|| thread.thread().clone());
        Ok(clock)
    }

    /// Counts until an engine is gone.
    fn run(&self, engines: &[EngineWeak]) {
        ask_for_short_slices();
        self.announce(true);
        let now = Instant::now();
        // When the last slice and the last epoch ended.
        let (mut slice, mut epoch, mut idle) = (now, now, 0);
        loop {
            let stops = idle >= IDLE_TICKS;
            let latest = if stops { Instant::now() + STOPPED_LOOK } else { slice + TICK };
            let look = self.alarms.plan(latest, epoch + SHORTEST);
            if stops {
                self.announce(false);
                self.stop(look)
            } else {
                park_until(look)
            }
            let now = Instant::now();
            let rang = self.alarms.ring(now);
            let Some(engines) = engines.iter().map(EngineWeak::upgrade).collect::<Option<Vec<_>>>() else { return };
            if stops {
                // Nothing ran meanwhile.
                (slice, epoch) = (now, now);
                if self.running.load(Ordering::Relaxed) {
                    idle = 0;
                    self.announce(true);
                }
                continue;
            }
            let over = now >= slice + TICK;
            // Who was woken is in a queue now: those that run make way.
            let early = rang && self.running.load(Ordering::Relaxed);
            if !over && !early {
                continue;
            }
            self.ticked.fetch_add(nanoseconds(now - epoch), Ordering::Relaxed);
            epoch = now;
            // First the counts: a guest that sees the epoch must not find those of before.
            if over {
                slice = now;
                self.slices.fetch_add(1, Ordering::Relaxed);
                idle = if self.running.swap(false, Ordering::Relaxed) { 0 } else { idle + 1 };
            }
            self.epochs.fetch_add(1, Ordering::SeqCst);
            engines.iter().for_each(Engine::increment_epoch);
        }
    }

    /// How often guests were told to suspend so far.
    pub(super) fn epochs(&self) -> u64 {
        self.epochs.load(Ordering::Relaxed)
    }

    /// Slices so far: epochs, without those that began because somebody was woken.
    pub(super) fn slices(&self) -> u64 {
        self.slices.load(Ordering::Relaxed)
    }

    /// How long it has ticked, in nanoseconds, as of the last tick: the difference of two readings is how much of the time
    /// between them is charged to who ran then. Who runs for less than a tick is charged for a whole one as often as it
    /// is met by one, which comes to the same in the long run, and costs nothing.
    pub(super) fn ticked(&self) -> u64 {
        self.ticked.load(Ordering::Relaxed)
    }

    /// Waits until a guest runs, or there is something to look at.
    fn stop(&self, look: Instant) {
        self.stopped.store(true, Ordering::SeqCst);
        if !self.running.load(Ordering::SeqCst) {
            park_until(look);
        }
        self.stopped.store(false, Ordering::SeqCst);
    }

    fn announce(&self, ticks: bool) {
        self.ticks.send_if_modified(|before| std::mem::replace(before, ticks) != ticks);
    }

    /// Whether it ticks, as it was announced: a little after guests began to run, or all waited.
    pub(super) fn activity(&self) -> watch::Receiver<bool> {
        self.ticks.subscribe()
    }

    /// Has the clock look at its alarms.
    fn look(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Says that a guest is about to run. On every poll of one, so in the usual case it only reads.
    pub(super) fn running(&self) {
        if self.running.load(Ordering::Relaxed) {
            return;
        }
        // Against `stop`: one of the two sees what the other wrote.
        self.running.store(true, Ordering::SeqCst);
        if self.stopped.load(Ordering::SeqCst) {
            self.look();
        }
    }
}

fn park_until(time: Instant) {
    thread::park_timeout(time.saturating_duration_since(Instant::now()));
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Asks the scheduler for slices so short that this thread runs as soon as it wakes: guests that spin on every core would
/// otherwise delay each tick by a slice of theirs, about 3 ms. Linux takes such a wish since 6.12, without a privilege;
/// an older one ignores it, and preemption is that much coarser.
#[expect(unsafe_code, reason = "neither std nor nix wraps sched_setattr")]
fn ask_for_short_slices() {
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default(),
        sched_policy: libc::SCHED_OTHER.unsigned_abs(),
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: SLICE.as_nanos().try_into().unwrap_or_default(),
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes at the pointer, which are the structure's; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result != 0 {
        tracing::debug!("no short slices for the clock: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_told_when_guests_begin_to_run_and_when_all_wait() {
        let engine = Engine::default();
        let clock = Clock::start(std::iter::once(&engine)).unwrap();
        let mut activity = clock.activity();
        for _ in 0..2 {
            activity.wait_for(|runs| !runs).await.unwrap();
            clock.running();
            activity.wait_for(|runs| *runs).await.unwrap();
        }
    }
}
