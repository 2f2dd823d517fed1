//! Limits hold for one actor, and its end stays its own.

use crate::harness::{run_app, run_with};

#[test]
fn an_actor_that_grows_past_its_memory_dies_alone_and_the_log_names_it() {
    run_app(
        "{name: hoard, module: grow.wasm, restart: {policy: Temporary}, limits: {memory: 8Mi}, permissions: {spawn: [hoard]}}",
    )
    .code(0)
    .prints("allocated 4 MiB")
    .prints("grower died")
    .prints("sibling ticked on")
    .prints_not("allocated 8 MiB")
    .says(&["actor=", "class=hoard", "ran out of memory", "limits.memory is 8Mi"]);
}

#[test]
fn within_its_memory_an_actor_lives() {
    run_app("{name: hoard, module: grow.wasm, args: ['4'], restart: {policy: Temporary}, limits: {memory: 8Mi}, permissions: {spawn: [hoard]}}")
        .code(0)
        .prints("grower finished");
}

#[test]
fn one_actor_more_than_allowed_is_refused() {
    let app = |actors: u32| {
        run_app(&format!(
            "{{name: many, module: many_actors.wasm, args: ['50'], restart: {{policy: Temporary}}, limits: {{memory: 2Mi, actors: {actors}}}, permissions: {{spawn: [many]}}}}"
        ))
    };
    app(50).code(0).prints("answered 50");
    let refused = app(49);
    assert_ne!(refused.code, Some(0));
    refused.says(&["limits.actors", "49"]);
}

#[test]
fn the_memory_of_a_module_is_set_by_an_option() {
    run_with(&["--memory", "16Mi"], "grow", &["12"]).code(0).prints("grower finished");
    run_with(&["--memory", "12Mi"], "grow", &["12"]).code(0).prints("grower died");
}

/// The pool holds 1,000.
#[test]
fn more_actors_than_the_pool_holds_live_and_answer() {
    run_app(
        "{name: many, module: many_actors.wasm, args: ['1500'], restart: {policy: Temporary}, limits: {memory: 2Mi, actors: 1500}, permissions: {spawn: [many]}}",
    )
    .code(0)
    .prints("alive 1500")
    .prints("answered 1500");
}

/// Its standard streams and the folder count too.
#[test]
fn one_open_file_more_than_an_actor_may_have_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note"), "hi").unwrap();
    let dir = format!("{}:/data", folder.path().display());
    let hold = |count: &str| run_with(&["--deny", "dir", "--dir", &dir], "file", &["hold", "/data/note", count]);
    hold("4092").code(0).prints("ok: 4092 held");
    hold("4093").code(134).says(&["trapped", "path_open"]);
}
