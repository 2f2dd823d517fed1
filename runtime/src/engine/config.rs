//! The one place that builds [`wasmtime::Config`]: code compiled under one configuration runs under no other.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::PoolSize;

/// Stack of one actor's native frames. Address space only, until touched.
const STACK_BYTES: usize = 1 << 20;
/// Part of it that guest code may use; host functions need the rest.
const GUEST_STACK_BYTES: usize = 512 << 10;
/// Memory that a slot of the pool can hold: all that 32-bit WebAssembly can address, which costs address space only. How
/// much of it an actor gets is its account's business.
const MEMORY_BYTES: usize = 4 << 30;
/// What an unused slot keeps of the memory and of the table that its last actor wrote, in bytes, where the kernel says which
/// pages those are: they are made as new by copying, and the next actor takes no page faults. A small actor writes less in
/// all. No more than the lowest `limits.memory`, so that what slots keep is never more than what their actors could have.
const KEPT_BYTES: usize = 64 << 10;
/// Frames of a backtrace: enough to find a bug, few enough for a log line that a guest can provoke at will.
const BACKTRACE_FRAMES: usize = 16;

/// How the slot of an actor that has ended is made as new for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// The pages that were written are overwritten and stay. Linux says which they are since 6.7 (`PAGEMAP_SCAN`).
    WrittenPages,
    /// All pages are given back to the kernel.
    Unmap,
}

impl Reset {
    /// The fastest that this kernel has.
    pub(super) fn detect() -> Self {
        if PoolingAllocationConfig::is_pagemap_scan_available() { Self::WrittenPages } else { Self::Unmap }
    }
}

/// Configuration for engines whose instances come from a pool of that size, or, for `None`, are mapped one by one.
#[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
pub(super) fn config(pool: Option<(PoolSize, Reset)>) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .async_stack_size(STACK_BYTES)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_memory64(false);
    if let Some((size, reset)) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(size, reset)));
    }
    config
}

fn pooling(size: PoolSize, reset: Reset) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_core_instances(size.actors)
        .total_memories(size.actors)
        .total_tables(size.actors)
        .total_stacks(size.stacks())
        .max_memory_size(MEMORY_BYTES)
        .max_memories_per_module(1)
        .max_tables_per_module(1);
    if reset == Reset::WrittenPages {
        pooling.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEPT_BYTES).table_keep_resident(KEPT_BYTES);
    }
    pooling
}
