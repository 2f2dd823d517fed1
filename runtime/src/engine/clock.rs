//! The clock of preemption: it counts epochs while guests run, and stops while none does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use wasmtime::Engine;

/// Time slice of a guest that does not suspend by itself.
const TICK: Duration = Duration::from_millis(1);
/// What the clock's thread asks the scheduler for: the shortest slice that Linux gives (sched(7), `sched_runtime`).
const SLICE: Duration = Duration::from_micros(100);
/// Ticks without a running guest after which the clock stops, so that an idle pod uses no CPU.
const IDLE_TICKS: u32 = 20;
/// How often a stopped clock looks whether its engine still exists.
const STOPPED_LOOK: Duration = Duration::from_secs(1);

/// The clock of an engine.
#[derive(Default)]
pub(crate) struct Clock {
    /// Set by every guest that starts to run, cleared by every tick.
    running: AtomicBool,
    stopped: AtomicBool,
    ticks: AtomicU64,
    /// Nanoseconds for which it ticked.
    ticked: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Clock {
    /// Starts the clock of engines; it ends with them.
    pub(super) fn start<'a>(engines: impl Iterator<Item = &'a Engine>) -> wasmtime::Result<Arc<Self>> {
        let clock = Arc::new(Self::default());
        let (engines, own) = (engines.map(Engine::weak).collect::<Vec<_>>(), Arc::clone(&clock));
        let thread = thread::Builder::new().name("perigee-clock".into()).spawn(move || {
            ask_for_short_slices();
            let (mut idle, mut last) = (0, Instant::now());
            loop {
                thread::park_timeout(TICK);
                let (now, before) = (Instant::now(), last);
                last = now;
                own.ticked.fetch_add(nanoseconds(now - before), Ordering::Relaxed);
                // First the count: a guest that sees the epoch must not find the count of before.
                own.ticks.fetch_add(1, Ordering::SeqCst);
                for engine in &engines {
                    let Some(engine) = engine.upgrade() else { return };
                    engine.increment_epoch();
                }
                idle = if own.running.swap(false, Ordering::Relaxed) { 0 } else { idle + 1 };
                if idle >= IDLE_TICKS {
                    own.stop();
                    // Nothing ran meanwhile.
                    (idle, last) = (0, Instant::now());
                }
            }
        })?;
        clock.thread.get_or_init(|| thread.thread().clone());
        Ok(clock)
    }

    /// Ticks so far.
    pub(super) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// How long it has ticked, in nanoseconds, as of the last tick: the difference of two readings is how much of the time
    /// between them is charged to who ran then. Who runs for less than a tick is charged for a whole one as often as it
    /// is met by one, which comes to the same in the long run, and costs nothing.
    pub(super) fn ticked(&self) -> u64 {
        self.ticked.load(Ordering::Relaxed)
    }

    /// Waits until a guest runs.
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if !self.running.load(Ordering::SeqCst) {
            thread::park_timeout(STOPPED_LOOK);
        }
        self.stopped.store(false, Ordering::SeqCst);
    }

    /// Says that a guest is about to run. On every poll of one, so in the usual case it only reads.
    pub(super) fn running(&self) {
        if self.running.load(Ordering::Relaxed) {
            return;
        }
        // Against `stop`: one of the two sees what the other wrote.
        self.running.store(true, Ordering::SeqCst);
        if self.stopped.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
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
