//! Stopping: listeners close, connections finish, then the rest is killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use crate::harness::{guest, guests, kill, perigee, repository, wait};

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap)
}

/// The example, listening on a free port of the loopback, with its log.
fn counter_server(grace: &str) -> (Child, impl Iterator<Item = String>, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let example = std::fs::read_to_string(repository().join("examples/counter-server/app.yaml")).unwrap();
    let manifest = folder.path().join("app.yaml");
    std::fs::write(&manifest, example.replace("0.0.0.0:8080", &format!("127.0.0.1:{port}"))).unwrap();
    let mut child = perigee(&["run", "--grace", grace, "--modules"]).arg(guests()).arg(manifest).spawn().unwrap();
    let mut log = lines(&mut child);
    assert!(log.next().is_some(), "it says when it listens");
    (child, log, port)
}

/// One whole request; `None` when there is no connection.
fn ask(port: u16) -> Option<String> {
    let mut request = TcpStream::connect(("127.0.0.1", port)).ok()?;
    request.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    request.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// Waits for a condition.
#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "it never came true");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn sigterm_ends_an_idle_app_at_once_and_ctrl_c_too() {
    for signal in ["TERM", "INT"] {
        let mut child = perigee(&["run", "--grace", "600"]).arg(guest("c_spin")).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        kill(child.id(), signal);
        assert!(child.stdout.take().is_some());
        wait(child).code(143);
    }
}

/// Who asked for it is told, has time to end in its own way, and so decides the exit code.
#[test]
fn an_actor_that_asked_is_told_of_the_stop_and_has_time_to_end() {
    let mut child = perigee(&["run", "--grace", "600"]).arg(guest("idle")).arg("300").spawn().unwrap();
    let mut log = lines(&mut child);
    assert_eq!(log.next().unwrap(), "ready");
    kill(child.id(), "TERM");
    assert_eq!((log.next().unwrap(), log.next().unwrap()), ("stopping".to_owned(), "stopped".to_owned()));
    wait(child).code(0);
}

#[test]
fn at_the_end_of_the_grace_period_the_rest_is_killed() {
    let mut child = perigee(&["run", "--grace", "1"]).arg(guest("idle")).arg("600000").spawn().unwrap();
    let mut log = lines(&mut child);
    assert_eq!(log.next().unwrap(), "ready");
    kill(child.id(), "TERM");
    assert_eq!(log.next().unwrap(), "stopping");
    wait(child).code(143).says(&["not all is finished after 1 s"]);
}

/// Somebody who presses Ctrl-C twice does not wait for the grace period.
#[test]
fn a_second_signal_ends_the_command_at_once() {
    let (mut child, _log, port) = counter_server("600");
    let _open = TcpStream::connect(("127.0.0.1", port)).unwrap();
    until(|| ask(port).is_some());
    kill(child.id(), "INT");
    until(|| TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(child.try_wait().unwrap().is_none(), "it waits for the connection");
    kill(child.id(), "INT");
    wait(child).code(130);
}

/// An answer that was begun before SIGTERM is finished after it, and no new connection is taken.
#[test]
fn a_request_in_flight_is_answered_and_a_new_one_refused() {
    let (child, _log, port) = counter_server("30");
    let mut request = TcpStream::connect(("127.0.0.1", port)).unwrap();
    request.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n").unwrap();
    // Connections are accepted in order: once a later one is answered, this one has its actor.
    until(|| ask(port).is_some());
    kill(child.id(), "TERM");
    until(|| TcpStream::connect(("127.0.0.1", port)).is_err());
    request.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    wait(child);
}
