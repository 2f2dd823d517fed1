//! `echo`: listens on a port of its own choice, prints `port N`, and echoes each connection by an actor of its own, for ever.

use std::io::{Read, Write};

use lunatic::net::{TcpListener, TcpStream};
use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("port {}", listener.local_addr().expect("an address").port());
    loop {
        let (stream, _) = listener.accept().expect("a connection");
        Process::spawn(stream, echo);
    }
}

fn echo(mut stream: TcpStream, _: Mailbox<()>) {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => stream.write_all(&buffer[..length]).expect("writable"),
        }
    }
}
