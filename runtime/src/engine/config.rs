//! The one place that builds [`wasmtime::Config`]: code compiled under one configuration runs under no other.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::dense::{GUARD_BYTES, Slots};

/// Stack of one actor's native frames. Address space only, until touched.
pub(super) const STACK_BYTES: usize = 1 << 20;
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

/// Where instances get their memories, tables and stacks.
pub(super) enum Allocation {
    /// From a pool for so many actors.
    Pool(u32, Reset),
    /// Each is mapped when it is needed.
    OnDemand,
    /// Memories and stacks from slots of large mappings.
    Slots(Slots),
}

/// Configuration for engines of that allocation. Code for a pool runs where each is mapped too; code for slots is another.
#[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
pub(super) fn config(allocation: Allocation) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .async_stack_size(STACK_BYTES)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_memory64(false);
    match allocation {
        Allocation::Pool(actors, reset) => {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(actors, reset)));
        }
        Allocation::OnDemand => {}
        Allocation::Slots(Slots { memories, stacks }) => {
            // A slot has no room for 4 GiB and a guard behind it: bounds are checked, and a memory moves to grow. Without
            // images of memories, which would take mappings, data is copied.
            config
                .memory_reservation(0)
                .memory_reservation_for_growth(0)
                .memory_guard_size(0)
                .memory_may_move(true)
                .memory_init_cow(false)
                .with_host_memory(memories)
                .with_host_stack(stacks)
                .async_stack_size(STACK_BYTES - GUARD_BYTES);
        }
    }
    config
}

/// Stacks for so many actors: a guest that is called back by a host function that it called runs on a second one.
pub(super) fn stacks(actors: u32) -> u32 {
    actors.saturating_add(actors / 4).saturating_add(16)
}

fn pooling(actors: u32, reset: Reset) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_core_instances(actors)
        .total_memories(actors)
        .total_tables(actors)
        .total_stacks(stacks(actors))
        .max_memory_size(MEMORY_BYTES)
        .max_memories_per_module(1)
        .max_tables_per_module(1);
    if reset == Reset::WrittenPages {
        pooling.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEPT_BYTES).table_keep_resident(KEPT_BYTES);
    }
    pooling
}
