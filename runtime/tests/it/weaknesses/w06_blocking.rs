//! Code that blocks costs nobody else anything: 1,000 actors in one blocking call each hold up neither a thread nor another
//! actor. `blocking` measures round trips of two actors, and wake-ups of one, alone and beside those that block, turn by turn.

use std::net::TcpListener;
use std::process::Command;

use crate::harness::{Ran, finish, guest, guests, perigee, piped, run_app};

/// A machine that does other work as well delays now and then: one run of so many has to be undisturbed.
const RUNS: usize = 8;
/// What a round trip may take at the 99th percentile beside those that block, as a multiple of what it takes alone.
const TRIP_TIMES: f64 = 2.0;
/// The same of a wake-up, before which a slice of another thread can come, of this process or of others.
const WAKE_TIMES: f64 = 3.0;

/// The figure alone, and beside those that block.
fn figures(ran: &Ran, name: &str) -> (f64, f64) {
    let line = ran.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {ran:#?}"));
    let figure = |key: &str| line.split(key).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().parse().unwrap();
    (figure("idle="), figure("beside="))
}

fn costs_nothing(command: impl Fn() -> Command) {
    costs_at_most(WAKE_TIMES, command);
}

/// One that wakes may take so many times as long as it does alone.
fn costs_at_most(wake_times: f64, command: impl Fn() -> Command) {
    let mut seen = Vec::new();
    for _ in 0..RUNS {
        let ran = finish(&mut command()).code(0).prints("blocked 1000");
        let (trips, wakes) = (figures(&ran, "trip_us"), figures(&ran, "wake_us"));
        if trips.1 <= TRIP_TIMES * trips.0 && wakes.1 <= wake_times * wakes.0 {
            return;
        }
        seen.push((trips, wakes));
    }
    panic!("99th percentiles in microseconds, alone and beside, of round trips and of wake-ups: {seen:?}");
}

fn blocking(options: &[&str], what: &str, target: &str) -> Command {
    let mut command = perigee(&["run"]);
    command.args(options).arg(guest("blocking")).args([what, target]);
    command
}

#[test]
fn w06_blocking_in_a_sleep_of_std_costs_nothing() {
    costs_nothing(|| blocking(&[], "sleep", ""));
}

#[test]
fn w06_blocking_in_the_compilation_of_a_module_costs_nothing() {
    let dir = format!("{}:/guests", guests().display());
    costs_nothing(|| blocking(&["--dir", &dir], "compile", "/guests/c_hello.wasm"));
}

/// 16 threads compute here without end, so that a wake-up waits for slices of theirs: how many is the scheduler's business.
#[test]
fn w06_blocking_in_a_database_costs_round_trips_nothing() {
    costs_at_most(f64::INFINITY, || blocking(&[], "sql", ""));
}

/// Opening it would wait for somebody who writes to it, in the kernel: of a thousand, each on a thread that others need.
#[test]
fn w06_who_opens_a_pipe_is_refused_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    let dir = format!("{}:/data", folder.path().display());
    costs_nothing(|| blocking(&["--dir", &dir], "pipe", "/data/pipe"));
}

#[test]
fn w06_blocking_in_tcp_and_udp_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    costs_nothing(|| blocking(&["--net"], "tcp", &address));
    costs_nothing(|| blocking(&["--net"], "udp", "127.0.0.1"));
}

/// In a network of its own, whose only name server never answers.
#[test]
fn w06_blocking_in_the_look_up_of_a_name_costs_nothing() {
    const ALONE: &str =
        "ip link set lo up && ip route add 10.9.9.0/24 dev lo && mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "nameserver 10.9.9.9\n").unwrap();
    costs_nothing(|| {
        let inner = blocking(&["--net"], "dns", "nobody.example:80");
        let mut alone = piped("unshare");
        alone.args(["--map-root-user", "--net", "--mount", "sh", "-c", ALONE, "sh"]).arg(file.path());
        alone.arg(inner.get_program()).args(inner.get_args());
        alone
    });
}

#[test]
fn w06_code_in_c_is_preempted_and_limited_like_any_other() {
    let zlib = |what: &str| {
        run_app(&format!(
            "{{name: z, module: zlib.wasm, args: [{what}], restart: {{policy: Temporary}}, limits: {{memory: 8Mi}}, permissions: {{spawn: [z]}}}}"
        ))
    };
    zlib("spin").code(0).prints("sleep samples=100").prints("ok: killed");
    let refused: u32 = zlib("grow").code(0).stdout.trim().strip_prefix("refused after ").unwrap().parse().unwrap();
    assert!((5..32).contains(&refused), "a quarter of a megabyte each, 8 in all: {refused}");
}
