//! What Wasmtime alone takes for one instance after the other: the peer of spawning, which no actor can be faster than. The
//! same pool as the runtime's, but no actor: no mailbox, no account, no task, nobody who could stop it.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, PoolingAllocationConfig, Store,
};

use super::figures::Printed;

/// Instances in all.
const COUNT: u32 = 400_000;
/// Places of the pool.
const PLACES: u32 = 1_000;
/// What a place keeps of the memory and of the table that was written, in bytes, as the runtime has it.
const KEPT_BYTES: usize = 64 << 10;
/// `(module (memory 1) (func (export "_start")))`.
pub(super) const TINY: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

/// Runs instances of a module on every core, each made, entered at `_start` and dropped.
pub(super) fn run(module: &[u8]) -> anyhow::Result<Printed> {
    let engine = Engine::new(&config())?;
    let module = Module::new(&engine, module)?;
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&module)?;
    let instance = linker.instantiate_pre(&module)?;
    let threads = u32::try_from(thread::available_parallelism()?.get())?;
    let started = Instant::now();
    thread::scope(|scope| {
        let work = || (0..COUNT / threads).try_for_each(|_| one(&instance));
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| thread.join().ok().context("a thread has panicked")?)
    })?;
    let mut printed = Printed::default();
    printed.set("per_second", f64::from(COUNT / threads * threads) / started.elapsed().as_secs_f64());
    Ok(printed)
}

/// On a stack of its own, as an actor is: it could be suspended.
fn one(instance: &InstancePre<()>) -> anyhow::Result<()> {
    let mut store = Store::new(instance.module().engine(), ());
    store.set_epoch_deadline(1);
    let run = async {
        let instance = instance.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call_async(&mut store, ()).await
    };
    match pin!(run).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => Ok(ended?),
        Poll::Pending => bail!("it waits, and there is nothing that it could wait for"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a peer has a configuration of its own")]
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(PLACES)
        .total_memories(PLACES)
        .total_tables(PLACES)
        .total_stacks(PLACES)
        .max_memory_size(4 << 30)
        .max_memories_per_module(1)
        .max_tables_per_module(1);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEPT_BYTES).table_keep_resident(KEPT_BYTES);
    }
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .async_stack_size(1 << 20)
        .max_wasm_stack(512 << 10)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiny_module_is_one_and_runs() {
        let engine = Engine::new(&config()).unwrap();
        let module = Module::new(&engine, TINY).unwrap();
        assert_eq!(module.exports().map(|export| export.name().to_owned()).collect::<Vec<_>>(), ["_start"]);
        one(&Linker::new(&engine).instantiate_pre(&module).unwrap()).unwrap();
    }
}
