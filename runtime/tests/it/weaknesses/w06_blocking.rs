//! Code that blocks costs nobody else anything: 1,000 actors in one blocking call each hold up neither a thread nor another
//! actor. `blocking` measures round trips of two actors before and beside them.

use std::net::TcpListener;
use std::process::Command;

use crate::harness::{Ran, finish, guest, perigee, piped, run_app};

/// A machine that does other work as well delays now and then: one run of so many has to be undisturbed.
const RUNS: usize = 8;
/// What a round trip at the 99th percentile may take beside those that block.
const TIMES: f64 = 2.0;

fn p99(ran: &Ran, line: &str) -> f64 {
    let line = ran.stdout.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("no {line}: {ran:#?}"));
    line.split("p99_us=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().parse().unwrap()
}

fn costs_nothing(command: impl Fn() -> Command) {
    let mut seen = Vec::new();
    for _ in 0..RUNS {
        let ran = finish(&mut command()).code(0).prints("blocked 1000");
        let (idle, beside) = (p99(&ran, "idle"), p99(&ran, "beside"));
        if beside <= TIMES * idle {
            return;
        }
        seen.push((idle, beside));
    }
    panic!("p99 in microseconds, idle and beside: {seen:?}");
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
fn w06_blocking_in_a_read_of_a_file_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opening it waits for somebody who writes to it: nobody does.
    let dir = format!("{}:/data", folder.path().display());
    costs_nothing(|| blocking(&["--dir", &dir], "file", "/data/pipe"));
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
