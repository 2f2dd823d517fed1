//! Functions of WASI preview 1 that are not Wasmtime's.

use crate::harness::{Ran, finish, perigee};

/// Exits with the number of the first step that did not do what it should, or 0.
const SLEEPS: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func $now (result i64) (drop (call $time (i32.const 1) (i64.const 1) (i32.const 200))) (i64.load (i32.const 200)))
    ;; A subscription at 0: userdata, tag of clocks, clock, timeout in nanoseconds, precision, flags.
    (func $subscribe (param $clock i32) (param $timeout i64) (param $flags i32)
        (i64.store (i32.const 0) (i64.const 0x0123456789abcdef))
        (i32.store (i32.const 16) (local.get $clock))
        (i64.store (i32.const 24) (local.get $timeout))
        (i32.store16 (i32.const 40) (local.get $flags))
        (memory.fill (i32.const 64) (i32.const 0xff) (i32.const 40)))
    (func $step (param $number i32) (param $right i32) (if (i32.eqz (local.get $right)) (then (call $exit (local.get $number)))))
    ;; The event at 64, and the count at 96, of a sleep that is over.
    (func $over (param $number i32) (param $errno i32)
        (call $step (local.get $number) (i32.eqz (local.get $errno)))
        (call $step (local.get $number) (i64.eq (i64.load (i32.const 64)) (i64.const 0x0123456789abcdef)))
        (call $step (local.get $number) (i32.eqz (i32.load16_u (i32.const 72))))
        (call $step (local.get $number) (i32.eqz (i32.load8_u (i32.const 74))))
        (call $step (local.get $number) (i32.eq (i32.load (i32.const 96)) (i32.const 1))))
    (func $sleep (result i32) (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)))
    (func (export "_start") (local $before i64)
        (local.set $before (call $now))
        (call $subscribe (i32.const 1) (i64.const 20000000) (i32.const 0))
        (call $over (i32.const 1) (call $sleep))
        (call $step (i32.const 2) (i64.ge_u (i64.sub (call $now) (local.get $before)) (i64.const 20000000)))
        (call $subscribe (i32.const 0) (i64.const 1) (i32.const 0))
        (call $over (i32.const 3) (call $sleep))
        ;; Until a time: in 20 ms, and one that is over.
        (local.set $before (call $now))
        (call $subscribe (i32.const 1) (i64.add (local.get $before) (i64.const 20000000)) (i32.const 1))
        (call $over (i32.const 4) (call $sleep))
        (call $step (i32.const 5) (i64.ge_u (i64.sub (call $now) (local.get $before)) (i64.const 20000000)))
        (call $subscribe (i32.const 1) (i64.const 1) (i32.const 1))
        (call $over (i32.const 6) (call $sleep))
        ;; No such clock: EINVAL.
        (call $subscribe (i32.const 7) (i64.const 1) (i32.const 0))
        (call $step (i32.const 7) (i32.eq (call $sleep) (i32.const 28)))))"#;

fn run(module: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sleeps.wasm");
    std::fs::write(&path, wat::parse_str(module).unwrap()).unwrap();
    finish(perigee(&["run"]).arg(&path))
}

#[test]
fn a_sleep_takes_its_time_and_says_that_it_is_over() {
    run(SLEEPS).code(0);
}

#[test]
fn a_sleep_that_is_not_in_memory_is_a_trap() {
    let sleep = "(i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)";
    assert!(SLEEPS.contains(sleep));
    for (what, at) in [
        ("subscription", "(i32.const -8) (i32.const 64) (i32.const 1) (i32.const 96)"),
        ("event", "(i32.const 0) (i32.const 65530) (i32.const 1) (i32.const 96)"),
        ("count", "(i32.const 0) (i32.const 64) (i32.const 1) (i32.const 65534)"),
    ] {
        let ran = run(&SLEEPS.replace(sleep, at)).code(134);
        assert!(ran.stderr.contains("Pointer out of bounds"), "{what}: {ran:#?}");
    }
}
