//! Databases of guests: values, folders, others' locks, memory, and what never ends.

use std::path::Path;

use crate::harness::{Ran, finish, guests, perigee, run, run_app, run_with, write_app};

fn in_folder(folder: &Path, args: &[&str], class: &str) -> Ran {
    let manifest = write_app(
        folder,
        &format!("{{name: s, module: sqlite.wasm, args: [{}], restart: {{policy: Temporary}}, {class}}}", args.join(", ")),
    );
    let volume = format!("{}:/data", folder.display());
    finish(perigee(&["run", "--volume", &volume, "--modules"]).arg(guests()).arg(manifest))
}

#[test]
fn all_functions_work_in_memory_and_in_a_file() {
    run("sqlite", &["values"]).code(0).prints("changed 1").prints("error Some(1): no such table: nowhere").prints("second Ok(1)");
    let folder = tempfile::tempdir().unwrap();
    in_folder(folder.path(), &["values", "/data/a.db"], "permissions: {filesystem: [{path: /data}]}").code(0).prints("ok");
    assert!(folder.path().join("a.db").metadata().unwrap().len() > 0);
}

#[test]
fn a_database_needs_a_granted_folder() {
    let folder = tempfile::tempdir().unwrap();
    let grant = "permissions: {filesystem: [{path: /data}]}";
    in_folder(folder.path(), &["open", "/data/a.db"], grant).prints("ok: connection 0");
    in_folder(folder.path(), &["open", "/etc/a.db"], grant)
        .prints("error: denied: the class \"s\" may not open the database \"/etc/a.db\"")
        .prints("permissions.filesystem");
    in_folder(folder.path(), &["open", "/data/../a.db"], grant).prints("error: ").prints("unable to open");
    in_folder(folder.path(), &["open", "/data/new.db"], "permissions: {filesystem: [{path: /data, readOnly: true}]}")
        .prints("error: ")
        .prints("unable to open");
    run_app("{name: s, module: sqlite.wasm, args: [open, /tmp/a.db], restart: {policy: Temporary}}").prints("error: denied");
    run_with(&["--deny", "dir"], "sqlite", &["open", "a.db"]).prints("error: denied");
}

#[test]
fn many_actors_write_to_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let class = "limits: {memory: 4Mi}, permissions: {spawn: [s], filesystem: [{path: /data}]}";
    in_folder(folder.path(), &["contend", "/data/a.db"], class).code(0).prints("rows [[Integer(200), Integer(40)]]");
}

#[test]
fn what_never_ends_holds_up_no_other_database_and_is_killed() {
    run("sqlite", &["endless"]).code(0).prints("beside [[Integer(42)]]").prints("after [[Integer(42)]]");
}

#[test]
fn a_database_in_memory_is_within_the_memory_of_its_actor() {
    run_app("{name: s, module: sqlite.wasm, args: [fill], restart: {policy: Temporary}, limits: {memory: 8Mi}}")
        .code(0)
        .prints("kept [[Integer(0)]]");
}
