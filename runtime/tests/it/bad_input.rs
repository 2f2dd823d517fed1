//! What cannot run ends at once, with a message that names the thing and the remedy.

use crate::harness::{finish, guest, guests, perigee, run, run_app, write_app};

#[test]
fn modules_that_cannot_run_say_why() {
    for (name, parts) in [
        ("not_wasm", &["not_wasm.wasm", "no WebAssembly module"][..]),
        ("no_entrypoint", &["main", "no_entrypoint.wasm", "\"_start\""]),
        ("wrong_entrypoint", &["main", "wrong_entrypoint.wasm", "\"_start\"", "_start(i32)"]),
        ("unknown_import", &["unknown_import.wasm", "nowhere", "nothing"]),
    ] {
        run(name, &[]).code(126).says(parts);
    }
}

#[test]
fn a_module_that_starts_beyond_its_limit_is_not_started() {
    run_app("{name: big, module: huge_memory.wasm, limits: {memory: 16Mi}}").code(126).says(&[
        "\"big\"",
        "256Mi",
        "limits.memory is 16Mi",
    ]);
}

#[test]
fn a_truncated_module_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(guest("hello")).unwrap();
    std::fs::write(folder.path().join("cut.wasm"), &bytes[..bytes.len() / 2]).unwrap();
    finish(perigee(&["run"]).arg(folder.path().join("cut.wasm"))).code(126).says(&["cut.wasm", "not valid"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    finish(&mut perigee(&["run", "nowhere/app.yaml"])).code(126).says(&["nowhere/app.yaml"]);
}

#[test]
fn an_unknown_permission_is_refused_by_name() {
    run_app("{name: web, module: hello.wasm, permissions: {netwrok: {}}}")
        .code(126)
        .says(&["spec.actors[0].permissions", "netwrok"]);
}

#[test]
fn a_class_without_its_module_says_which_ones_there_are() {
    run_app("{name: web, module: nothing.wasm}").code(126).says(&["\"web\"", "nothing.wasm", "hello.wasm", "--modules"]);
}

#[test]
fn a_folder_that_is_not_there_is_named_before_anything_starts() {
    run_app("{name: web, module: hello.wasm, permissions: {filesystem: [{path: /no/such/folder}]}}")
        .code(126)
        .says(&["\"web\"", "/no/such/folder"])
        .prints_not("hello");
}

#[test]
fn options_for_modules_are_refused_for_apps() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_app(folder.path(), "{name: web, module: hello.wasm}");
    finish(perigee(&["run", "--net", "--modules"]).arg(guests()).arg(manifest)).code(126).says(&["--net", "manifest"]);
}
