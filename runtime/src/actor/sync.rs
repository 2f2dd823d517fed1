//! What the threads of the core meet at, in one place: locks, atomics, and how tasks start. The crate `interleavings`
//! compiles the core with those of shuttle, which tries out the orders in which threads can meet.

#[cfg(not(interleavings))]
pub(super) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI8, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread_local,
};

#[cfg(not(interleavings))]
pub(super) use tokio::time::Instant;

#[cfg(interleavings)]
pub(super) use shuttle::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI8, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread_local,
};

/// Of a clock that stands still: what is tried out is orders, and the same ones each time.
#[cfg(interleavings)]
pub(super) struct Instant;

#[cfg(interleavings)]
impl Instant {
    pub(super) fn now() -> Self {
        Self
    }

    pub(super) fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Runs a task of its own. Whoever needs to know of its end sees to that.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    #[cfg(not(interleavings))]
    drop(tokio::spawn(task));
    #[cfg(interleavings)]
    drop(shuttle::future::spawn(task));
}
