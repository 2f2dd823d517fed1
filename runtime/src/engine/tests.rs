//! Slots go from actor to actor without a trace of the one before, however they are made as new.

use std::sync::Arc;

use perigee_spec::ActorClass;

use super::config::Reset;
use super::{Capacity, Engine};
use crate::class::{Class, HostValues};
use crate::host::stdio::Output;
use crate::node::Node;

/// Traps unless all of its memory (also that which it gains by growing), its global and its table are as the module has
/// them; then leaves a pattern in every byte.
const TENANT: &str = r#"(module
  (memory (export "memory") 2 8)
  (data (i32.const 65530) "image")
  (table 64 funcref)
  (elem declare func $_start)
  (global $global (mut i64) (i64.const 0))
  (func $clean (param $at i32) (param $end i32)
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end)))))
  (func $_start (export "_start") (local $index i32)
    (if (i64.ne (global.get $global) (i64.const 0)) (then unreachable))
    (loop $next
      (if (i32.eqz (ref.is_null (table.get (local.get $index)))) (then unreachable))
      (table.set (local.get $index) (ref.func $_start))
      (br_if $next (i32.lt_u (local.tee $index (i32.add (local.get $index) (i32.const 1))) (i32.const 64))))
    (if (i32.ne (i32.load (i32.const 65530)) (i32.const 0x67616d69)) (then unreachable))
    (if (i32.ne (i32.load8_u (i32.const 65534)) (i32.const 0x65)) (then unreachable))
    (call $clean (i32.const 0) (i32.const 65528))
    (call $clean (i32.const 65536) (i32.const 131072))
    (if (i32.eq (memory.grow (i32.const 2)) (i32.const -1)) (then unreachable))
    (call $clean (i32.const 131072) (i32.const 262144))
    (global.set $global (i64.const -1))
    (memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 262144))))"#;

const ACTORS: u32 = 16;

fn node(engine: Engine, module: &str) -> Arc<Node> {
    let spec = ActorClass::new("tenant".parse().unwrap());
    let module = wat::parse_str(module).unwrap();
    let program = engine.compile("tenant", &module).unwrap();
    let class = Class::prepare(spec, program, &HostValues::default()).unwrap();
    let sink = || Output::new("test", std::io::sink()).unwrap();
    Node::new(engine, vec![class], sink(), sink())
}

/// One after the other, and four at a time: so slots are used again by the same module.
async fn tenants(in_pool: u32, reset: Reset) {
    let node = node(Engine::with(Capacity { actors: ACTORS }, in_pool, reset).unwrap(), TENANT);
    for _ in 0..50 {
        let runs = (0..4).map(|_| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.run("tenant").await.unwrap() })
        });
        for run in runs.collect::<Vec<_>>() {
            let exit = run.await.unwrap();
            assert!(exit.reason.is_normal(), "{in_pool} in the pool, {reset:?}: {}", exit.reason);
        }
    }
    if let Some(dense) = &node.engine.dense {
        assert_eq!(dense.used(), (0, 0), "memories and stacks");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_sees_what_the_one_before_left_when_written_pages_are_overwritten() {
    if Reset::detect() == Reset::WrittenPages {
        tenants(ACTORS, Reset::WrittenPages).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_sees_what_the_one_before_left_when_the_kernel_cannot_say_what_was_written() {
    tenants(ACTORS, Reset::Unmap).await;
}

/// With one place in the pool, three of each four get a dense one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_sees_what_the_one_before_left_in_a_dense_place() {
    tenants(1, Reset::detect()).await;
}

/// Spins for many time slices before it is there.
const START: &str = r#"(module
  (memory (export "memory") 1)
  (func $start (local $count i32)
    (loop $next
      (i32.store (i32.const 0) (local.get $count))
      (br_if $next (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const 50000000)))))
  (start $start)
  (func (export "_start")))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_start_function_of_one_that_the_app_spawns_is_preempted_and_goes_on() {
    for in_pool in [ACTORS, 1] {
        let node = node(Engine::with(Capacity { actors: ACTORS }, in_pool, Reset::detect()).unwrap(), START);
        let runs: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let node = Arc::clone(&node);
                    async move { node.run("tenant").await }
                })
            })
            .collect();
        for run in runs {
            let run = tokio::time::timeout(std::time::Duration::from_secs(60), run).await.expect("it is polled again");
            assert!(run.unwrap().unwrap().reason.is_normal());
        }
    }
}

/// Waits for a message that never comes.
const IDLE: &str = r#"(module
  (import "lunatic::message" "receive" (func $receive (param i32 i32 i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1)))))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_is_filled_first_then_the_dense_places_and_one_more_is_an_error() {
    let node = node(Engine::with(Capacity { actors: 5 }, 2, Reset::detect()).unwrap(), IDLE);
    let mut runs = Vec::new();
    for alive in 1..=5 {
        let node = Arc::clone(&node);
        runs.push(tokio::spawn({
            let node = Arc::clone(&node);
            async move { node.run("tenant").await }
        }));
        while node.system.len() < alive {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(node.engine.dense.as_ref().unwrap().used().0, alive.saturating_sub(2), "{alive} are alive");
    }
    let refused = node.run("tenant").await.unwrap_err();
    assert!(refused.to_string().contains("128 KiB are taken"), "{refused}");
    node.system.kill_all().await;
    for run in runs {
        run.await.unwrap().unwrap();
    }
    assert_eq!(node.engine.dense.as_ref().unwrap().used(), (0, 0));
}
