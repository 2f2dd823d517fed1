//! Restart policy and intensity of declared actors.

use crate::harness::{Ran, run_app, run_app_with};

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

#[test]
fn an_exhausted_intensity_says_what_the_actor_said_last() {
    app("panic", "maxRestarts: 1").code(134).says(&["1 restarts within 10s", "last words: thread 'main'", "crash: as asked"]);
}

#[test]
fn the_wait_before_a_restart_doubles() {
    let started = std::time::Instant::now();
    let ran = app("exit, '7'", "maxRestarts: 3, window: 1m, backoff: 200ms");
    assert_eq!(starts(&ran), 4);
    assert!(started.elapsed() >= std::time::Duration::from_millis(200 + 400 + 800), "{:?}", started.elapsed());
}

#[test]
fn what_depends_on_the_one_that_ended_is_started_again_with_it() {
    let classes = |first: &str, second: &str| {
        format!(
            "{{name: {first}, module: crash.wasm, args: ['60000', exit, '0'], restart: {{policy: Transient}}}}, \
             {{name: {second}, module: crash.wasm, args: ['100', exit, '1'], restart: {{maxRestarts: 1, window: 1m}}}}"
        )
    };
    let starts_of = |strategy: &str| starts(&run_app_with(&format!("strategy: {strategy}, "), &classes("a", "b")).code(1));
    assert_eq!(starts_of("OneForOne"), 3);
    assert_eq!(starts_of("RestForOne"), 3, "the one that failed is the last");
    assert_eq!(starts_of("OneForAll"), 4);
}
