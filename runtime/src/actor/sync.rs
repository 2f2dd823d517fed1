//! What the threads of the core meet at, in one place: locks, atomics, and how tasks start. The crate `interleavings`
//! compiles the core with those of shuttle, which tries out the orders in which threads can meet.

#[cfg(not(interleavings))]
pub(super) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread_local,
};

#[cfg(interleavings)]
pub(super) use shuttle::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread_local,
};

/// Runs a task of its own. Whoever needs to know of its end sees to that.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    #[cfg(not(interleavings))]
    drop(tokio::spawn(task));
    #[cfg(interleavings)]
    drop(shuttle::future::spawn(task));
}
