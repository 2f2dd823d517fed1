//! `listen ADDRESS:PORT`: listens, prints `ok: ADDRESS` or `error: TEXT`, then echoes one connection and ends.

use std::io::{Read, Write};
use std::net::SocketAddr;

use lunatic::net::TcpListener;
use lunatic::Mailbox;

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let address: SocketAddr = guests::text_arg(0, "listen ADDRESS:PORT").parse().expect("an address and a port");
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => return println!("error: {error}"),
    };
    guests::print_result(listener.local_addr());
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).expect("readable") {
            0 => break,
            length => stream.write_all(&buffer[..length]).expect("writable"),
        }
    }
}
