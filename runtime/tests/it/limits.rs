//! Limits hold for one actor, and its end stays its own.

use crate::harness::{Ran, finish, guest, perigee, piped, run_app, run_with};

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

/// `limits WHAT COUNT`: one actor takes so many; another lives on, whatever becomes of it.
fn limits(options: &[&str], what: &str, count: usize) -> Ran {
    run_with(options, "limits", &[what, &count.to_string()]).code(0).prints("another lives")
}

/// An actor that takes one too many ends, and the log says why.
#[test]
fn at_a_limit_an_actor_lives_and_beyond_it_ends_alone() {
    for (what, most, why) in [
        ("names", 1_024, "1024 names"),
        ("name", 1_024, "a name of 1025 bytes"),
        ("tags", 1_024, "1025 tags"),
        ("timers", 100_000, "100000 timers"),
        ("configurations", 16_384, "16384 of these"),
        ("statements", 1_024, "1024 statements"),
    ] {
        limits(&[], what, most).prints("held");
        limits(&[], what, most + 1).prints("ended badly").says(&["trapped", why]);
    }
}

/// Where the call can say so, it is an error of that call, once as many as the limit allows have succeeded.
#[test]
fn at_a_limit_a_call_succeeds_and_beyond_it_says_why_not() {
    for (what, most, why) in [
        ("sockets", 4_096, "holds 4096 sockets"),
        ("lists", 4_096, "holds 4096 lists of addresses"),
        ("databases", 64, "holds 64 connections"),
        ("modules", 4_000, "4000 modules of its actors"),
    ] {
        limits(&["--net"], what, most + 1).prints(&format!("error after {most}: ")).prints(why);
    }
}

/// The most of something that fits into a memory.
fn most(what: &str, memory: &str) -> usize {
    let (mut fits, mut beyond) = (0_usize, 1_000);
    while beyond - fits > 1 {
        let count = fits.midpoint(beyond);
        let ran = limits(&["--memory", memory], what, count);
        if ran.stdout.contains("held") {
            fits = count;
        } else {
            beyond = count;
        }
    }
    fits
}

#[test]
fn memory_that_links_and_monitors_take_is_counted_to_the_last_one() {
    for (what, more) in [("links", 16), ("monitors", 12)] {
        let (fits, with_more) = (most(what, "248Ki"), most(what, "251Ki"));
        assert_eq!(with_more - fits, more, "3 KiB more have room for so many {what}, beside {fits}");
        limits(&["--memory", "248Ki"], what, fits + 1).says(&["trapped", "no memory for one more link"]);
    }
}

#[test]
fn the_last_page_within_the_limit_is_given_and_no_further() {
    // The table takes some bytes, and so the last page.
    let ran = limits(&["--memory", "4Mi"], "pages", 1_000).prints(": 63 pages in all");
    let more = ran.stdout.strip_prefix("error after ").and_then(|rest| rest.split(':').next()).unwrap().parse().unwrap();
    limits(&["--memory", "4Mi"], "pages", more).prints("held");
}

fn with_a_mailbox_of_4_ki(args: &str) -> Ran {
    run_app(&format!(
        "{{name: l, module: limits.wasm, args: [{args}], restart: {{policy: Temporary}}, limits: {{memory: 2Mi, mailbox: 4Ki}}, permissions: {{spawn: [l]}}}}"
    ))
    .code(0)
}

#[test]
fn a_mailbox_takes_messages_up_to_its_bytes_and_the_next_sender_waits() {
    with_a_mailbox_of_4_ki("mailbox, '16'").prints("sent at once").prints("received 16");
    with_a_mailbox_of_4_ki("mailbox, '17'").prints("the sender waits").prints("received 17");
}

#[test]
fn a_message_as_large_as_the_mailbox_is_taken_and_a_larger_one_ends_its_sender() {
    with_a_mailbox_of_4_ki("message, '4096'").prints("held 1").prints("another lives");
    let ended = with_a_mailbox_of_4_ki("message, '4097'").prints("ended badly").prints("another lives");
    ended.says(&["a message of 4097 bytes never fits"]);
}

/// All actors of the process share them.
#[test]
fn without_a_further_open_file_in_the_process_opening_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note"), "hi").unwrap();
    let dir = format!("{}:/data", folder.path().display());
    for (what, why) in [("sockets", "Too many open files"), ("files", "I/O error")] {
        let inner = perigee(&["run", "--net", "--dir", &dir]);
        let mut few = piped("sh");
        few.args(["-c", "ulimit -n 100 && exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
        let ran = finish(few.arg(guest("limits")).args([what, "4000"])).code(0).prints("error after").prints("another lives");
        ran.prints(why);
    }
}
