//! Slots of the pool go from actor to actor without a trace of the one before, however they are made as new.

use std::sync::Arc;

use perigee_spec::{ActorClass, AppSpec};

use super::config::Reset;
use super::{Engine, PoolSize};
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

/// One after the other, and four at a time: so slots are used again by the same module.
async fn tenants(reset: Reset) {
    let spec = ActorClass::new("tenant".parse().unwrap());
    let app = AppSpec::new("test", vec![spec.clone()], "test").unwrap();
    let engine = Engine::with_reset(PoolSize::for_app(&app), reset).unwrap();
    let program = engine.compile("tenant", &wat::parse_str(TENANT).unwrap()).unwrap();
    let class = Class::prepare(spec, program, &HostValues::default()).unwrap();
    let sink = || Output::new("test", std::io::sink()).unwrap();
    let node = Node::new(engine, vec![class], sink(), sink());
    for _ in 0..50 {
        let runs = (0..4).map(|_| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.run("tenant").await.unwrap() })
        });
        for run in runs.collect::<Vec<_>>() {
            let exit = run.await.unwrap();
            assert!(exit.reason.is_normal(), "{reset:?}: {}", exit.reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_sees_what_the_one_before_left_when_written_pages_are_overwritten() {
    if Reset::detect() == Reset::WrittenPages {
        tenants(Reset::WrittenPages).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_sees_what_the_one_before_left_when_the_kernel_cannot_say_what_was_written() {
    tenants(Reset::Unmap).await;
}
