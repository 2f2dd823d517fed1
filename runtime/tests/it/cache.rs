//! Compiled code is kept, and what is kept is used only when it is whole and ours.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use perigee_cache::{Cache, Digest, Key, Turn};

use crate::harness::{Ran, finish, guest, perigee};

const COMPILED: &str = "compiled hello.wasm";
const MAPPED: &str = "mapped the compiled code of hello.wasm";

fn run(home: &Path, options: &[&str]) -> Ran {
    let mut command = perigee(&["run"]);
    command.args(options).arg(guest("hello")).env("XDG_CACHE_HOME", home).env("PERIGEE_LOG", "debug");
    finish(&mut command)
}

fn folder(home: &Path) -> PathBuf {
    home.join("perigee/code")
}

fn entries(home: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder(home)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_module_is_compiled_once_and_then_mapped() {
    let home = tempfile::tempdir().unwrap();
    run(home.path(), &[]).code(0).says(&[COMPILED]).prints("hello");
    assert_eq!(entries(home.path()).len(), 1);
    let again = run(home.path(), &[]).code(0).says(&[MAPPED]).prints("hello");
    assert!(!again.stderr.contains(COMPILED), "{again:#?}");
    let without = run(home.path(), &["--no-cache"]).code(0).says(&[COMPILED]);
    assert!(!without.stderr.contains(MAPPED), "{without:#?}");
}

#[test]
fn a_corrupt_entry_is_made_again() {
    let home = tempfile::tempdir().unwrap();
    run(home.path(), &[]).code(0);
    let [entry] = &entries(home.path())[..] else { panic!("one entry") };
    let whole = fs::read(entry).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [&flipped[..], &whole[..whole.len() / 2], b""] {
        fs::remove_file(entry).unwrap();
        fs::write(entry, bytes).unwrap();
        fs::set_permissions(entry, fs::Permissions::from_mode(0o444)).unwrap();
        run(home.path(), &[]).code(0).says(&[COMPILED]).prints("hello");
        run(home.path(), &[]).code(0).says(&[MAPPED]).prints("hello");
    }
}

#[test]
fn a_folder_that_others_can_write_to_is_not_used_and_the_module_runs_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder(home.path())).unwrap();
    fs::set_permissions(folder(home.path()), fs::Permissions::from_mode(0o777)).unwrap();
    run(home.path(), &[]).code(0).says(&["chmod 700", COMPILED]).prints("hello");
    assert_eq!(entries(home.path()).len(), 0);
    // A file where the folder should be, as on a disk that cannot be written to.
    fs::remove_dir(folder(home.path())).unwrap();
    fs::remove_dir(home.path().join("perigee")).unwrap();
    fs::write(home.path().join("perigee"), "").unwrap();
    run(home.path(), &[]).code(0).says(&["compiled code is not kept", COMPILED]).prints("hello");
}

#[test]
fn many_starts_at_once_compile_once_and_a_killed_one_holds_up_nobody() {
    let home = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = perigee(&["run"]);
        command.arg(guest("hello")).env("XDG_CACHE_HOME", home.path()).env("PERIGEE_LOG", "debug");
        command.spawn().unwrap()
    };
    // One is killed somewhere on its way: before, while or after it compiles.
    let mut killed = start();
    std::thread::sleep(std::time::Duration::from_millis(20));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let started: Vec<_> = (0..6).map(|_| start()).collect();
    let ran: Vec<_> = started.into_iter().map(|child| crate::harness::wait(child).code(0).prints("hello")).collect();
    let compiled = ran.iter().filter(|ran| ran.stderr.contains(COMPILED)).count();
    assert!(compiled <= 1, "{ran:#?}");
    assert_eq!(entries(home.path()).len(), 1, "{:?}", entries(home.path()));
}

/// The standard output of `perigee compile`.
fn compile(options: &[&str], module: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perigee"));
    command.arg("compile").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(module).unwrap_or_default();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_worker_maps_what_the_confined_compiler_made_and_compiles_what_is_foreign() {
    let node = tempfile::tempdir().unwrap();
    let module = fs::read(guest("hello")).unwrap();
    let (code, native, _) = compile(&["--confine", "--name", "hello.wasm"], &module);
    assert_eq!(code, Some(0));
    let (_, fingerprint, _) = compile(&["--fingerprint"], b"");
    let engine = Digest::parse(String::from_utf8(fingerprint).unwrap().trim()).unwrap();
    let cache = Cache::open(&node.path().join("cache"), 1 << 30).unwrap();
    let key = Key { module: Digest::of(&module), engine };
    let Turn::Mine(writer) = cache.get_or_begin(&key, std::time::Duration::ZERO).unwrap() else { panic!("it is empty") };
    writer.file().write_all(&native).unwrap();
    let entry = cache.commit(writer).unwrap();
    // As the shim does, with a mount.
    fs::create_dir(node.path().join("code")).unwrap();
    let mounted = node.path().join("code/a");
    fs::copy(entry.path(), &mounted).unwrap();
    let worker = || {
        let app = node.path().join("app.json");
        let class = r#"{"name":"a","module":"hello.wasm","restart":{"policy":"Temporary"}}"#;
        fs::write(&app, format!(r#"{{"version":1,"name":"x","actors":[{class}]}}"#)).unwrap();
        let mut command = perigee(&["worker", "--termination-log", "/nowhere", "--app"]);
        command.arg(app).arg("--modules").arg(crate::harness::guests()).arg("--code").arg(node.path().join("code"));
        finish(command.env("PERIGEE_LOG", "debug")).code(0).prints("hello")
    };
    let ran = worker().says(&[MAPPED]);
    assert!(!ran.stderr.contains(COMPILED), "{ran:#?}");
    for (bytes, mode) in [(&b"\x7fELF"[..], 0o444), (&native[..], 0o444), (&fs::read(entry.path()).unwrap()[..], 0o644)] {
        fs::remove_file(&mounted).unwrap();
        fs::write(&mounted, bytes).unwrap();
        fs::set_permissions(&mounted, fs::Permissions::from_mode(mode)).unwrap();
        worker().says(&["is no compiled code of this version", COMPILED]);
    }
    fs::remove_file(&mounted).unwrap();
    worker().says(&[COMPILED]);
}

#[test]
fn the_compiler_says_what_is_wrong_with_a_module() {
    let cases: [(&[u8], &str); 3] = [
        (b"plain text", "bad.wasm: this is no WebAssembly module"),
        (b"\0asm\x0d\0\x01\0", "component"),
        (b"\0asm\x01\0\0\0\x01", "bad.wasm: the module is not valid"),
    ];
    for (module, message) in cases {
        let (code, native, said) = compile(&["--confine", "--name", "bad.wasm"], module);
        assert_eq!((code, native.len()), (Some(126), 0), "{said}");
        assert!(said.contains(message), "{said}");
    }
    let (code, _, said) = compile(&["--most", "10"], b"\0asm\x01\0\0\0");
    assert_eq!(code, Some(1), "not the module's fault: {said}");
}

#[test]
fn the_cache_can_be_listed_and_cleared() {
    let home = tempfile::tempdir().unwrap();
    run(home.path(), &[]).code(0);
    let digest = Digest::of(&fs::read(guest("hello")).unwrap()).to_string();
    let cache = |what: &str| finish(perigee(&["cache", what]).env("XDG_CACHE_HOME", home.path())).code(0);
    cache("ls").prints(&digest);
    cache("clear").prints("removed 1, in use 0");
    cache("ls").prints_not(&digest);
}
