//! The one place that builds [`wasmtime::Config`]: code compiled under one configuration runs under no other.

use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::PoolSize;

/// Stack of one actor's native frames. Address space only, until touched.
const STACK_BYTES: usize = 1 << 20;
/// Part of it that guest code may use; host functions need the rest.
const GUEST_STACK_BYTES: usize = 512 << 10;
/// Memory that a slot of the pool can hold: all that 32-bit WebAssembly can address, which costs address space only. How
/// much of it an actor gets is its account's business.
const MEMORY_BYTES: usize = 4 << 30;
/// Frames of a backtrace: enough to find a bug, few enough for a log line that a guest can provoke at will.
const BACKTRACE_FRAMES: usize = 16;

/// Configuration for engines whose instances come from a pool of that size, or, for `None`, are mapped one by one.
#[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
pub(super) fn config(pool: Option<PoolSize>) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .async_stack_size(STACK_BYTES)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_memory64(false);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(pool)));
    }
    config
}

fn pooling(size: PoolSize) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_core_instances(size.actors)
        .total_memories(size.actors)
        .total_tables(size.actors)
        .total_stacks(size.stacks())
        .max_memory_size(MEMORY_BYTES)
        .max_memories_per_module(1)
        .max_tables_per_module(1);
    pooling
}
