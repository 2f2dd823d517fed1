//! `socket_vs_spinners [SPINNERS] [SAMPLES]`: some actors spin for ever while one reads from a connection. Prints `port N`,
//! then takes that many messages of 8 bytes: the time at which each was written, in nanoseconds since 1970. Prints how long
//! after it they were read, in microseconds.

use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lunatic::net::TcpListener;
use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("port {}", listener.local_addr().expect("an address").port());
    let (mut stream, _) = listener.accept().expect("a connection");
    let spinning: Vec<Process<()>> = (0..guests::arg(0, 8)).map(|_| Process::spawn((), spin)).collect();
    let took = (0..guests::arg(1, 500)).map(|_| {
        let mut written = [0; 8];
        stream.read_exact(&mut written).expect("a time");
        now().saturating_sub(Duration::from_nanos(u64::from_le_bytes(written)))
    });
    guests::print_percentiles("socket", took.collect());
    for spinner in spinning {
        spinner.kill();
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970")
}

fn spin(_: (), _: Mailbox<()>) {
    loop {}
}
