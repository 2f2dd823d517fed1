//! Programs written with the crate `lunatic`: processes, messages, links.

use crate::harness::{run, run_with};

#[test]
fn processes_are_spawned_and_answer() {
    run("spawn_reply", &["200"]).code(0);
    run("spawn_function", &[]).code(0).prints("ok: 42");
}

#[test]
fn messages_go_back_and_forth_and_keep_their_order() {
    run("ping_pong", &["2000"]).code(0);
    run("one_way", &["20000"]).code(0);
}

#[test]
fn a_thousand_processes_live_at_once_and_each_answers() {
    run("many_actors", &["1000"]).code(0).prints("alive 1000").prints("answered 1000");
}

#[test]
fn messages_of_plain_bytes_come_as_they_were_sent() {
    run_with(&["--net"], "plain_bytes", &[]).code(0).prints("ok");
}
