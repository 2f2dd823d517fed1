//! Restart policy and intensity of declared actors.

use crate::harness::{Ran, run_app};

fn starts(ran: &Ran) -> usize {
    ran.stdout.matches("crash: started").count()
}

fn app(how: &str, restart: &str) -> Ran {
    run_app(&format!("{{name: fragile, module: crash.wasm, args: ['0', {how}], restart: {{{restart}}}}}"))
}

#[test]
fn an_exceeded_intensity_ends_the_app_with_the_actors_exit_code() {
    let ran = app("exit, '7'", "policy: Permanent, maxRestarts: 3, window: 1m").code(7).says(&[
        "fragile",
        "exited with code 7",
        "3 restarts within 1m",
    ]);
    assert_eq!(starts(&ran), 4);
    app("trap", "policy: Transient, maxRestarts: 0").code(134);
}

#[test]
fn temporary_actors_are_not_restarted() {
    let ran = app("exit, '7'", "policy: Temporary").code(7);
    assert_eq!(starts(&ran), 1);
}

#[test]
fn transient_actors_are_restarted_only_when_they_fail() {
    let ran = app("exit, '0'", "policy: Transient").code(0);
    assert_eq!(starts(&ran), 1);
}

#[test]
fn a_crash_of_one_class_leaves_the_others_running() {
    let ran = run_app(
        "{name: fragile, module: crash.wasm, args: ['0', trap], restart: {policy: Temporary}}, \
         {name: sound, module: crash.wasm, args: ['300', exit, '0'], restart: {policy: Temporary}}",
    );
    ran.code(134).says(&["class=fragile", "trapped"]);
}
