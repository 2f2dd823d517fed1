//! The guests of the benchmarks, with little to do: that they do it, not how fast.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use std::net::{Ipv4Addr, TcpStream};
use std::process::Child;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::{guest, perigee, run};

#[test]
fn actors_are_spawned_many_at_once_and_end() {
    run("spawn_rate", &["1000", "4", "16"]).code(0).prints("spawn_rate count=1000");
    run("c_tiny", &["rate", "1000", "4", "16"]).code(0).prints("per_second=");
    run("c_tiny", &["live", "2500"]).code(0).prints("answered=00000000000000002500");
}

#[test]
fn a_crowd_sends_to_one_and_to_each_other() {
    run("crowd", &["to_one", "100", "10"]).code(0).prints("to_one count=1000");
    run("crowd", &["to_all", "100", "10", "10"]).code(0).prints("to_all count=1000");
    run("one_way", &["5000", "4096"]).code(0).prints("one_way count=5000");
}

#[test]
fn real_programs_compute_what_they_should_within_the_default_memory() {
    for program in ["zlib", "json", "sql"] {
        run("compute", &[program, "1"]).code(0).prints("per_second=");
    }
}

#[test]
fn input_of_a_connection_is_read_beside_spinners() {
    let mut child = perigee(&["run", "--net"]).arg(guest("socket_vs_spinners")).args(["2", "5"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut connection = connect(&lines.next().unwrap().unwrap());
    for _ in 0..5 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        connection.write_all(&u64::try_from(now).unwrap().to_le_bytes()).unwrap();
    }
    let last = lines.next().unwrap().unwrap();
    assert!(last.starts_with("socket samples=5 p50_us="), "{last}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn connections_that_are_held_are_all_echoed() {
    let child = perigee(&["run", "--net"]).arg(guest("echo")).spawn().unwrap();
    let mut child = Killed(child);
    let port = BufReader::new(child.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let mut connections: Vec<_> = (0..20).map(|_| connect(&port)).collect();
    for (number, connection) in (0u8..).zip(&mut connections) {
        connection.write_all(&[number; 64]).unwrap();
    }
    for (number, connection) in (0u8..).zip(&mut connections) {
        let mut back = [0; 64];
        connection.read_exact(&mut back).unwrap();
        assert_eq!(back, [number; 64]);
    }
}

/// To what a guest says: `port N`.
fn connect(line: &str) -> TcpStream {
    let port: u16 = line.strip_prefix("port ").unwrap().parse().unwrap();
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()
}

/// A program that does not end by itself, at the end of a test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
