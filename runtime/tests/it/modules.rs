//! Modules as values: compiled by a guest, sent, spawned, bounded.

use crate::harness::{finish, guest, guests, perigee, run_with, write_app};

/// `modules FILE FUNCTION TIMES` with the folder of the guests at hand.
fn modules(options: &[&str], args: &[&str]) -> crate::harness::Ran {
    finish(perigee(&["run"]).args(options).arg(guest("modules")).args(args).current_dir(guests()))
}

#[test]
fn a_module_is_compiled_sent_and_spawned_by_another() {
    modules(&[], &["hello.wasm", "_start"]).code(0).prints("hello").prints("ended 2");
    modules(&[], &["c_hello.wasm", "no_such_function"]).code(0).prints("ended 1").says(&["no_such_function"]);
}

#[test]
fn a_module_that_is_none_is_an_error_of_who_compiles_it() {
    modules(&[], &["not_wasm.wasm", "_start"]).code(0).prints("error after 0").prints("no WebAssembly module");
    modules(&[], &["unknown_import.wasm", "_start"]).code(0).prints("error after 0").prints("nowhere");
}

#[test]
fn compiling_takes_a_permission() {
    modules(&["--deny", "compile"], &["hello.wasm", "_start"]).prints("error after 0").prints("ermission");
    let app = |permission: &str| {
        let folder = tempfile::tempdir().unwrap();
        let actor = format!(
            "{{name: a, module: modules.wasm, args: [/guests/c_hello.wasm, _start], restart: {{policy: Temporary}}, \
             permissions: {{filesystem: [{{path: /guests, readOnly: true}}], spawn: [a]{permission}}}}}"
        );
        let manifest = write_app(folder.path(), &actor);
        let volume = format!("{}:/guests", guests().display());
        finish(perigee(&["run", "--volume", &volume, "--modules"]).arg(guests()).arg(manifest))
    };
    app("").prints("error after 0").prints("ermission");
    app(", compile: true").code(0).prints("ended 2");
}

#[test]
fn modules_that_are_held_are_charged_and_one_more_is_an_error() {
    // A module of 100 KB of code, held until 4 MiB are full: far from the 5,000 that are asked for.
    let ran = modules(&["--memory", "4Mi"], &["c_hello.wasm", "_start", "5000"]).code(0).prints("error after");
    assert!(ran.stdout.contains("limits.memory"), "{ran:#?}");
}

#[test]
fn making_configurations_takes_a_permission() {
    let denied = run_with(&["--deny", "configure"], "attenuate", &["spawn"]).code(134);
    denied.says(&["it may make configurations"]);
}
