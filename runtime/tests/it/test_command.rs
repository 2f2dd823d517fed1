//! `perigee test`: what people see who know `cargo test`.

use std::path::PathBuf;

use crate::harness::{Ran, finish, perigee};

/// One test that passes, one that traps as it should, one that traps, one that is ignored. Those that end write first.
const MODULE: &str = r##"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "lunatic::process" "process_id" (func $id (result i64)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00")
    (data (i32.const 16) "heard\0a")
    (func $say (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "#lunatic_test_a::passes")
        (call $say)
        (if (i64.ne (call $id) (i64.const 1)) (then unreachable)))
    (func (export "#lunatic_test_#panic_#a::traps") unreachable)
    (func (export "#lunatic_test_b::fails") (call $say) unreachable)
    (func (export "#lunatic_test_#ignore_b::slow"))
    (func (export "_start") unreachable))"##;

struct Module {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn module(text: &str) -> Module {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tests.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    Module { _folder: folder, path }
}

fn test(args: &[&str]) -> Ran {
    let module = module(MODULE);
    finish(perigee(&["test"]).arg(&module.path).args(args))
}

#[test]
fn a_run_of_tests_reads_as_that_of_cargo() {
    let ran = test(&["--test-threads", "1"]).code(101);
    for line in [
        "running 4 tests",
        "test a::passes ... ok",
        "test a::traps - should panic ... ok",
        "test b::fails ... FAILED",
        "test b::slow ... ignored",
        "---- b::fails stdout ----\nheard\n",
        "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in ",
    ] {
        assert!(ran.stdout.contains(line), "{line:?} is not in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("---- a::passes"), "what a test wrote that passed is not shown:\n{}", ran.stdout);
}

#[test]
fn filters_say_which_tests_run() {
    for (args, sum) in [
        (&["a::"][..], "2 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out"),
        (&["a::passes", "b::slow"], "1 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out"),
        (&["--exact", "passes"], "0 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out"),
        (&["--skip", "fails"], "2 passed; 0 failed; 1 ignored; 0 measured; 1 filtered out"),
        (&["--ignored"], "1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out"),
        (&["--include-ignored", "b::slow"], "1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out"),
    ] {
        let ran = test(args).code(0);
        assert!(ran.stdout.contains(sum), "{args:?}: {}", ran.stdout);
    }
}

#[test]
fn tests_are_listed_without_running() {
    let names = "a::passes: test\na::traps: test\nb::fails: test\nb::slow: test\n";
    assert_eq!(test(&["--list", "--format", "terse"]).code(0).stdout, names);
    assert_eq!(test(&["--list"]).code(0).stdout, format!("{names}\n4 tests, 0 benchmarks\n"));
}

#[test]
fn what_tests_write_is_shown_when_asked_for() {
    let shown = test(&["a::passes", "--show-output"]).code(0);
    assert!(shown.stdout.contains("successes:\n\n---- a::passes stdout ----\nheard\n"), "{}", shown.stdout);
    let open = test(&["a::passes", "--nocapture"]).code(0);
    assert!(open.stdout.contains("heard"), "{}", open.stdout);
}

#[test]
fn running_a_module_with_tests_runs_its_tests() {
    let module = module(MODULE);
    let ran = finish(perigee(&["run"]).arg(&module.path).args(["a::", "--exact", "a::passes"])).code(0);
    assert!(ran.stdout.contains("1 passed"), "{}", ran.stdout);
}

/// The pool has places for 1,000: the others get theirs in arenas, as in an app.
#[test]
fn a_test_has_more_actors_than_the_pool_holds() {
    let text = r##"(module
        (import "lunatic::message" "receive" (func $receive (param i32 i32 i64) (result i32)))
        (import "lunatic::process" "spawn" (func $spawn (param i64 i64 i64 i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "idle")
        (func (export "idle") (drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1))))
        (func (export "#lunatic_test_crowd") (local $count i32)
            (loop $next
                (if (call $spawn (i64.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 4) (i32.const 64) (i32.const 0) (i32.const 96))
                    (then unreachable))
                (br_if $next (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const 1100)))))
        (func (export "_start") unreachable))"##;
    let module = module(text);
    let ran = finish(perigee(&["test"]).arg(&module.path)).code(0);
    assert!(ran.stdout.contains("1 passed"), "{}", ran.stdout);
}
