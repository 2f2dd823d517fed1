//! Microbenchmarks of the hot paths: spawning, and messages. `cargo bench -p perigee-runtime --bench actors`.
//!
//! `actors --once PATH COUNT` runs one path so many times on one thread, without divan, for tools that count what a
//! program does: what COUNT more cost tells what one costs.
//!
//! Each runs whole actors through the runtime's own interface. A guest does its work some thousand times in one run, so
//! that what starting it costs does not count; the figures are for one item, by divan's counters.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has failed")]

use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use perigee_runtime::{Allocator, Capacity, Class, Engine, HostValues, Node, Output};
use perigee_spec::{ActorClass, AppSpec};
use tokio::runtime::Runtime;

/// Spawns of one sample.
const SPAWNS: usize = 4_000;
/// Messages, or round trips, of one sample: the guests below have the number in them, too.
const MESSAGES: usize = 20_000;

/// A module of one page that does nothing.
const TINY: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() {
    Allocator::serve_many_actors();
    let args: Vec<_> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "--once", path, count] => once(path, count.parse().unwrap()),
        _ => divan::main(),
    }
}

fn once(path: &str, count: usize) {
    let tiny = || wat::parse_str(TINY).unwrap();
    let (module, spawns) = match path {
        "spawn_tiny" => (tiny(), count),
        "spawn_rust" => (guest("brief"), count),
        "spawn_reply" => (spawn_reply_module(count), 1),
        "ping_pong" => (ping_pong_module(BYTES_IN_ONE_CALL, count), 1),
        "one_way_64" => (one_way_module(BYTES_IN_ONE_CALL, count, 64), 1),
        "lunatic_ping_pong" => (ping_pong_module(BYTES_IN_THREE, count), 1),
        other => panic!("no path {other}"),
    };
    let node = node_of(&[("once", &module)], ACTORS_ONCE, Capacity { actors: ACTORS_ONCE });
    // Time stands still: what takes long under valgrind only is not to count as long.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for _ in 0..spawns {
            assert!(node.run("once").await.unwrap().reason.is_normal());
        }
    });
}

/// Actors that may be alive at once.
const ACTORS: u32 = 1_000;
/// The same for [`once`]: each slot of the pool takes 4 GiB of address space, of which valgrind leaves a program less than
/// 64. Where the pool does not fit the engine goes without one, and what is counted would be another path.
const ACTORS_ONCE: u32 = 8;

/// A node with one class for each module, which may spawn itself.
fn node(modules: &[(&str, &[u8])], actors: u32) -> Arc<Node> {
    let specs: Vec<_> = modules.iter().map(|(name, _)| class(name, actors)).collect();
    node_of(modules, actors, Capacity::for_app(&AppSpec::new("bench", specs, "benchmark").unwrap()))
}

fn node_of(modules: &[(&str, &[u8])], actors: u32, capacity: Capacity) -> Arc<Node> {
    let specs: Vec<_> = modules.iter().map(|(name, _)| class(name, actors)).collect();
    let engine = Engine::new(capacity).unwrap();
    let classes = specs.into_iter().zip(modules).map(|(spec, (name, bytes))| {
        let program = engine.compile(name, bytes).unwrap();
        Class::prepare(spec, program, &HostValues::default()).unwrap()
    });
    let classes = classes.collect();
    Node::new(engine, classes, Output::new("out", std::io::sink()).unwrap(), Output::new("err", std::io::sink()).unwrap())
}

fn class(name: &str, actors: u32) -> ActorClass {
    let mut class = ActorClass::new(name.parse().unwrap());
    class.limits.actors = actors;
    class.permissions.spawn.push(class.name.clone());
    class
}

fn runtime(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

/// Runs so many actors of a class one after the other on each of some threads' worth of tasks.
fn spawns(bencher: Bencher<'_, '_>, node: &Arc<Node>, class: &'static str, threads: usize) {
    let runtime = runtime(threads);
    bencher.counter(ItemsCount::new(SPAWNS)).bench(|| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..threads)
                .map(|_| {
                    let node = Arc::clone(node);
                    tokio::spawn(async move {
                        for _ in 0..SPAWNS / threads {
                            assert!(node.run(class).await.unwrap().reason.is_normal());
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[divan::bench(args = [1, 2], sample_count = 20, sample_size = 1)]
fn spawn_tiny(bencher: Bencher<'_, '_>, threads: usize) {
    static NODE: LazyLock<Arc<Node>> = LazyLock::new(|| node(&[("tiny", &wat::parse_str(TINY).unwrap())], ACTORS));
    spawns(bencher, &NODE, "tiny", threads);
}

/// The Rust guest `brief`: 17 pages, std, an allocation. Built by `make guests`.
#[divan::bench(args = [1, 2], sample_count = 20, sample_size = 1)]
fn spawn_rust(bencher: Bencher<'_, '_>, threads: usize) {
    static NODE: LazyLock<Arc<Node>> = LazyLock::new(|| node(&[("brief", &guest("brief"))], ACTORS));
    spawns(bencher, &NODE, "brief", threads);
}

fn guest(name: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), std::path::PathBuf::from);
    let path = target.join(format!("guests/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `make guests`", path.display()))
}

/// One message of `BYTES` bytes to whom, and one from anybody: as Perigee's own SDK does it.
const BYTES_IN_ONE_CALL: &str = r#"
  (import "perigee" "try_send" (func $try_send (param i64 i64 i32 i32) (result i32)))
  (import "perigee" "send" (func $send (param i64 i64 i32 i32)))
  (import "perigee" "try_receive" (func $try_receive (param i32 i32 i32 i32 i32) (result i32)))
  (import "perigee" "receive" (func $receive (param i32 i32 i64 i32 i32 i32) (result i32)))
  (func $tell (param $whom i64)
    (if (call $try_send (local.get $whom) (i64.const 0) (i32.const 4096) (i32.const BYTES))
      (then (call $send (local.get $whom) (i64.const 0) (i32.const 4096) (i32.const BYTES)))))
  (func $hear (local $kind i32)
    (local.set $kind (i32.const 9027))
    ;; Whether the last one left more.
    (if (i32.load (i32.const 140))
      (then (local.set $kind (call $try_receive (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const BYTES) (i32.const 128)))))
    (if (i32.eq (local.get $kind) (i32.const 9027))
      (then (drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 4096) (i32.const BYTES) (i32.const 128))))))
"#;

/// The same with the calls of Lunatic's ABI.
const BYTES_IN_THREE: &str = r#"
  (import "lunatic::message" "create_data" (func $create (param i64 i64)))
  (import "lunatic::message" "write_data" (func $write (param i32 i32) (result i32)))
  (import "lunatic::message" "read_data" (func $read (param i32 i32) (result i32)))
  (import "lunatic::message" "send" (func $send (param i64) (result i32)))
  (import "lunatic::message" "receive" (func $receive (param i32 i32 i64) (result i32)))
  (func $tell (param $whom i64)
    (call $create (i64.const 0) (i64.const BYTES))
    (drop (call $write (i32.const 4096) (i32.const BYTES)))
    (drop (call $send (local.get $whom))))
  (func $hear
    (drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1)))
    (drop (call $read (i32.const 4096) (i32.const BYTES))))
"#;

/// What the guests of messages have in common beside that.
const TALK: &str = r#"
  (import "lunatic::process" "process_id" (func $me (result i64)))
  (import "lunatic::process" "spawn" (func $spawn (param i64 i64 i64 i32 i32 i32 i32 i32) (result i32)))
  MESSAGES
  (memory (export "memory") 1)
  (data (i32.const 0) "other")
  ;; Spawns the function `other` with the caller's id; returns the id of the new actor.
  (func $start (result i64)
    (i32.store8 (i32.const 64) (i32.const 0x7e))
    (i64.store (i32.const 65) (call $me))
    (if (call $spawn (i64.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 17) (i32.const 96))
      (then unreachable))
    (i64.load (i32.const 96)))
"#;

/// A module of [`TALK`] with these two functions: so many messages, of `bytes` each.
fn talk(messages: &str, main: &str, other: &str, count: usize, bytes: usize) -> Vec<u8> {
    let talk = TALK.replace("MESSAGES", messages);
    let text = format!("(module {talk} (func (export \"_start\") {main}) (func (export \"other\") (param $from i64) {other}))");
    let text = text.replace("BYTES", &bytes.to_string()).replace("COUNT", &count.to_string());
    wat::parse_str(text).unwrap()
}

fn conversation(bencher: Bencher<'_, '_>, module: &[u8], threads: usize) {
    let (runtime, node) = (runtime(threads), node(&[("talk", module)], ACTORS));
    bencher.counter(ItemsCount::new(MESSAGES)).bench(|| {
        runtime.block_on(async {
            let node = Arc::clone(&node);
            let exit = tokio::spawn(async move { node.run("talk").await.unwrap() }).await.unwrap();
            assert!(exit.reason.is_normal(), "{}", exit.reason);
        });
    });
}

/// As a guest spawns: a function with a parameter, which sends once and ends.
fn spawn_reply_module(count: usize) -> Vec<u8> {
    let main = "(local $n i32)
      (loop $next (drop (call $start)) (call $hear)
        (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const COUNT))))";
    talk(BYTES_IN_ONE_CALL, main, "(call $tell (local.get $from))", count, 8)
}

#[divan::bench(args = [1, 2], sample_count = 20, sample_size = 1)]
fn spawn_reply(bencher: Bencher<'_, '_>, threads: usize) {
    conversation(bencher, &spawn_reply_module(MESSAGES), threads);
}

fn ping_pong_module(messages: &str, count: usize) -> Vec<u8> {
    let main = "(local $n i32) (local $peer i64) (local.set $peer (call $start))
      (loop $next (call $tell (local.get $peer)) (call $hear)
        (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const COUNT))))";
    let other = "(loop $next (call $hear) (call $tell (local.get $from)) (br $next))";
    talk(messages, main, other, count, 8)
}

#[divan::bench(args = [1, 2], sample_count = 20, sample_size = 1)]
fn ping_pong(bencher: Bencher<'_, '_>, threads: usize) {
    conversation(bencher, &ping_pong_module(BYTES_IN_ONE_CALL, MESSAGES), threads);
}

#[divan::bench(args = [1, 2], sample_count = 20, sample_size = 1)]
fn lunatic_ping_pong(bencher: Bencher<'_, '_>, threads: usize) {
    conversation(bencher, &ping_pong_module(BYTES_IN_THREE, MESSAGES), threads);
}

fn one_way_module(messages: &str, count: usize, bytes: usize) -> Vec<u8> {
    let main = "(local $n i32) (local $peer i64) (local.set $peer (call $start))
      (loop $next (call $tell (local.get $peer))
        (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const COUNT))))
      (call $hear)";
    let other = "(local $n i32)
      (loop $next (call $hear)
        (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const COUNT))))
      (call $tell (local.get $from))";
    talk(messages, main, other, count, bytes)
}

#[divan::bench(args = [(64, 1), (64, 2), (4096, 1), (4096, 2)], sample_count = 20, sample_size = 1)]
fn one_way(bencher: Bencher<'_, '_>, (bytes, threads): (usize, usize)) {
    conversation(bencher, &one_way_module(BYTES_IN_ONE_CALL, MESSAGES, bytes), threads);
}
