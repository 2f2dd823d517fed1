//! The locks and atomics of the core, in one place: the crate `interleavings` compiles the core with those of shuttle, which
//! tries out the orders in which threads can meet.

#[cfg(not(interleavings))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

#[cfg(interleavings)]
pub(super) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU64, Ordering},
};
