//! Fuel: processor time that an actor may use in all, for those that are given little.
//!
//! Lunatic counts instructions, which slows all code down; processor time costs nothing where there is no limit.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What a unit stands for. One of Lunatic is 100,000 instructions, which take a processor 30 to 100 microseconds. Here the
/// time of the host counts too (first touches of memory, output), so a unit is far more than that: what got along with few
/// units there does so here.
const UNIT: Duration = Duration::from_millis(1);

thread_local! {
    /// Processor time of this thread when the actor that it runs began to.
    static BEGAN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// An actor's processor time: what it may use, and what it has used.
#[derive(Debug)]
pub(crate) struct Fuel {
    units: u64,
    used_nanos: AtomicU64,
}

impl Fuel {
    pub(crate) fn new(units: u64) -> Self {
        Self { units, used_nanos: AtomicU64::new(0) }
    }

    /// Counts what `body` uses. It is boxed: whoever may have fuel, as most have none, is no larger for it.
    pub(crate) fn count<F: Future>(&self, body: F) -> impl Future<Output = F::Output> {
        let mut body = Box::pin(body);
        poll_fn(move |context| {
            // Who spawns makes the new actor's instance: then one counts within the other.
            let outer = BEGAN.replace(now());
            let polled = body.as_mut().poll(context);
            self.used_nanos.store(nanos(self.used()), Ordering::Relaxed);
            BEGAN.set(outer);
            polled
        })
    }

    /// An error once it has used all. Asked by the actor's own thread, while it runs.
    pub(crate) fn check(&self) -> wasmtime::Result<()> {
        let budget = UNIT.saturating_mul(u32::try_from(self.units).unwrap_or(u32::MAX));
        if self.used() > budget {
            wasmtime::bail!("out of fuel: {} units of {} ms of processor time are used up", self.units, UNIT.as_millis());
        }
        Ok(())
    }

    fn used(&self) -> Duration {
        let now_running = now().saturating_sub(BEGAN.get());
        Duration::from_nanos(self.used_nanos.load(Ordering::Relaxed)).saturating_add(now_running)
    }
}

/// Processor time of this thread. Linux has the clock since 2.6.12 (clock_gettime(2)).
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(time: Duration) {
        let start = now();
        while now() - start < time {}
    }

    #[tokio::test]
    async fn time_of_all_turns_counts_and_time_between_them_does_not() {
        let fuel = Fuel::new(20);
        fuel.count(async {
            for _ in 0..4 {
                assert!(fuel.check().is_ok());
                spin(Duration::from_millis(4));
                tokio::task::yield_now().await;
            }
            assert!(fuel.check().is_ok(), "16 ms of 20");
            spin(Duration::from_millis(5));
            assert!(fuel.check().unwrap_err().to_string().contains("out of fuel: 20 units of 1 ms"));
        })
        .await;
        spin(Duration::from_millis(5));
        let other = Fuel::new(2);
        other.count(async { assert!(other.check().is_ok()) }).await;
    }
}
