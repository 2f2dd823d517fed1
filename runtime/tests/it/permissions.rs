//! What is not granted is denied, with an error for the guest; what is granted works.

use std::fs;

use crate::harness::{finish, guests, perigee, run_app, run_with, write_app};

fn with_volume(args: &str, filesystem: &str) -> (tempfile::TempDir, crate::harness::Ran) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("note"), "hi").unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let actor =
        format!("{{name: a, module: file.wasm, args: [{args}], restart: {{policy: Temporary}}, permissions: {{{filesystem}}}}}");
    let manifest = write_app(folder.path(), &actor);
    let volume = format!("{}:/data", data.display());
    let ran = finish(perigee(&["run", "--volume", &volume, "--modules"]).arg(guests()).arg(manifest));
    (folder, ran)
}

#[test]
fn a_granted_folder_is_read_and_written() {
    let grant = "filesystem: [{path: /data}]";
    with_volume("read, /data/note", grant).1.code(0).prints("ok: 2 bytes");
    let (folder, ran) = with_volume("write, /data/new", grant);
    ran.code(0).prints("ok");
    assert!(folder.path().join("data/new").exists());
}

#[test]
fn a_read_only_folder_is_read_and_not_written() {
    let grant = "filesystem: [{path: /data, readOnly: true}]";
    with_volume("read, /data/note", grant).1.prints("ok: 2 bytes");
    let (folder, ran) = with_volume("write, /data/new", grant);
    ran.prints("error");
    assert!(!folder.path().join("data/new").exists());
}

#[test]
fn without_a_grant_there_are_no_files() {
    with_volume("read, /data/note", "").1.prints("error").prints_not("hi");
    run_app("{name: a, module: file.wasm, args: [read, /etc/passwd], restart: {policy: Temporary}}")
        .prints("error")
        .prints_not("root:");
}

#[test]
fn nothing_leads_out_of_a_granted_folder() {
    let grant = "filesystem: [{path: /data}]";
    with_volume("read, /data/../secret", grant).1.prints("error").prints_not("secret\"");
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", inside.join("link")).unwrap();
    let dir = format!("{}:/data", inside.display());
    run_with(&["--dir", &dir], "file", &["read", "/data/link"]).prints("error").prints_not("root:");
}

#[test]
fn a_class_spawns_only_the_classes_that_it_may() {
    let app = |spawn: &str| {
        run_app(&format!(
            "{{name: parent, module: spawn_class.wasm, args: [child], restart: {{policy: Temporary}}, permissions: {{spawn: [{spawn}]}}}}, \
             {{name: child, module: class_child.wasm, instances: 0, args: [childs-own], env: [{{name: A, value: b}}]}}"
        ))
    };
    app("child").code(0).prints("ok: child args=[\"childs-own\"] env=[(\"A\", \"b\")]");
    app("").code(0).prints("error: denied: the class \"parent\" may not spawn \"child\": add it to its permissions.spawn");
}

#[test]
fn functions_of_its_own_module_take_the_right_to_spawn_its_own_class() {
    let app = |spawn: &str| {
        run_app(&format!(
            "{{name: a, module: spawn_function.wasm, restart: {{policy: Temporary}}, permissions: {{spawn: [{spawn}]}}}}"
        ))
    };
    app("a").code(0).prints("ok: 42");
    let denied = app("");
    assert_ne!(denied.code, Some(0));
    denied.prints("spawning").prints_not("ok:").says(&["may not spawn", "permissions.spawn"]);
    run_with(&["--deny", "spawn"], "spawn_function", &[]).prints_not("ok:");
}
