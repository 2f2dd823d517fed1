//! Stopping: listeners close, connections finish, then the rest is killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use crate::harness::{guest, guests, kill, perigee, repository, wait};

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap)
}

#[test]
fn sigterm_ends_an_idle_app_at_once_and_ctrl_c_too() {
    for signal in ["TERM", "INT"] {
        let mut child = perigee(&["run"]).arg(guest("idle")).spawn().unwrap();
        assert_eq!(lines(&mut child).next().unwrap(), "ready");
        kill(child.id(), signal);
        wait(child).code(143);
    }
}

/// An answer that was begun before SIGTERM is finished after it, and no new connection is taken.
#[test]
fn a_request_in_flight_is_answered_and_a_new_one_refused() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let example = std::fs::read_to_string(repository().join("examples/counter-server/app.yaml")).unwrap();
    let manifest = folder.path().join("app.yaml");
    std::fs::write(&manifest, example.replace("0.0.0.0:8080", &format!("127.0.0.1:{port}"))).unwrap();
    let mut child = perigee(&["run", "--grace", "30", "--modules"]).arg(guests()).arg(manifest).spawn().unwrap();
    let mut log = lines(&mut child);
    assert!(log.next().is_some(), "it says when it listens");
    let mut request = TcpStream::connect(("127.0.0.1", port)).unwrap();
    request.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    kill(child.id(), "TERM");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the listener is closed");
    request.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    wait(child);
}
