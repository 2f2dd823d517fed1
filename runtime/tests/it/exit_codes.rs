//! The table of `docs/exit-codes.md`: each reason that a guest can bring about, and the code that comes of it.

use crate::harness::{guest, kill, perigee, repository, run, run_app, wait, write_app};

#[test]
fn every_exit_of_a_module_is_that_of_the_table() {
    // Beyond 125, Wasmtime's own `proc_exit` would trap.
    for (exit, code) in [("0", 0), ("1", 1), ("7", 7), ("125", 125), ("126", 126), ("134", 134), ("200", 200), ("255", 255)] {
        run("exit_code", &[exit]).code(code);
    }
    for (exit, code) in [("256", 1), ("257", 1), ("511", 255), ("-1", 255)] {
        run("exit_code", &[exit]).code(code).says(&[&format!("exited with code {exit}")]);
    }
    run("crash", &["0", "trap"]).code(134);
    run("crash", &["0", "panic"]).code(134);
}

#[test]
fn every_end_of_an_app_is_that_of_the_table() {
    let one = |how: &str, restart: &str| {
        run_app(&format!("{{name: a, module: crash.wasm, args: ['0', {how}], restart: {{{restart}}}}}"))
    };
    one("exit, '0'", "policy: Temporary").code(0);
    one("exit, '200'", "policy: Temporary").code(200).says(&["exited with code 200"]);
    one("exit, '0'", "policy: Permanent, maxRestarts: 0").code(1);
    one("exit, '255'", "policy: Transient, maxRestarts: 0").code(255);
    run_app("{name: a, module: huge_memory.wasm, limits: {memory: 1Mi}}").code(126);
    run_app("{name: a, module: no_entrypoint.wasm}").code(126);
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_app(folder.path(), "{name: a, wrong: field}");
    wait(perigee(&["run"]).arg(manifest).spawn().unwrap()).code(126);
    wait(perigee(&["run"]).spawn().unwrap()).code(2);
    let mut child = perigee(&["run", "--grace", "0"]).arg(guest("c_spin")).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill(child.id(), "TERM");
    assert!(child.stdout.take().is_some());
    wait(child).code(143);
}

/// The page names the codes that these tests show.
#[test]
fn the_page_says_what_these_tests_show() {
    let page = std::fs::read_to_string(repository().join("docs/exit-codes.md")).unwrap();
    for (reason, code) in [
        ("its entry function returned, or it exited with 0", "0"),
        ("it exited with n", "the low 8 bits of n; 1 where these are 0"),
        ("it trapped, or broke a rule of the ABI that it uses", "134 (128 + SIGABRT)"),
        (
            "a declared actor could not be spawned: its class needs more memory to start than its limit, or the host has no room",
            "126",
        ),
        ("a wrong command line", "2"),
        ("SIGTERM or SIGINT, and some had to be killed", "143 (128 + SIGTERM)"),
    ] {
        assert!(page.contains(&format!("| {reason} | {code} |")), "{reason}");
    }
}
