//! `tls listen ADDRESS CERTIFICATE KEY COUNT`: prints `ok: ADDRESS` or `error: TEXT`; each of COUNT connections is echoed by a
//! process of its own, of which it prints `echoed N` or `failed: TEXT` when that ends.
//! `tls connect HOST PORT [AUTHORITY]`: sends 100,000 bytes, prints `ok: echoed` or `error: TEXT`.
//! CERTIFICATE, KEY and AUTHORITY are files in PEM.

use std::io::{Error, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use lunatic::net::{TlsListener, TlsStream};
use lunatic::{Mailbox, Process};

const USAGE: &str = "tls listen ADDRESS CERTIFICATE KEY COUNT | tls connect HOST PORT [AUTHORITY]";

#[lunatic::main]
fn main(mailbox: Mailbox<String>) {
    match guests::text_arg(0, USAGE).as_str() {
        "listen" => listen(&mailbox),
        "connect" => guests::print_result(connect()),
        other => panic!("argument 0 is {other:?}: {USAGE}"),
    }
}

fn file(index: usize) -> Vec<u8> {
    std::fs::read(guests::text_arg(index, USAGE)).expect("a file in PEM")
}

fn listen(mailbox: &Mailbox<String>) {
    let address: SocketAddr = guests::text_arg(1, USAGE).parse().expect("an address and a port");
    let listener = match TlsListener::bind(address, file(2), file(3)) {
        Ok(listener) => listener,
        Err(error) => return println!("error: {error}"),
    };
    guests::print_result(listener.local_addr());
    let count = guests::arg(4, 1);
    for _ in 0..count {
        let (stream, _) = listener.accept().expect("a connection");
        Process::spawn((mailbox.this(), stream), |(main, stream), _: Mailbox<()>| {
            main.send(match echo(stream) {
                Ok(count) => format!("echoed {count}"),
                Err(error) => format!("failed: {error}"),
            });
        });
    }
    for _ in 0..count {
        println!("{}", mailbox.receive());
    }
}

fn echo(mut stream: TlsStream) -> Result<usize, Error> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    assert_eq!(stream.read_timeout(), Some(Duration::from_secs(30)));
    let (mut reader, mut buffer, mut echoed) = (stream.clone(), [0; 3_000], 0);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(echoed),
            length => {
                stream.write_all(&buffer[..length])?;
                stream.flush()?;
                echoed += length;
            }
        }
    }
}

fn connect() -> Result<&'static str, Error> {
    let host = guests::text_arg(1, USAGE);
    let authorities = std::env::args().nth(4).map(|_| file(3)).into_iter().collect();
    let mut stream = TlsStream::connect_timeout(&host, Duration::from_secs(30), guests::arg(2, 443), authorities)?;
    let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let mut echoed = vec![0; bytes.len()];
    for (sent, received) in bytes.chunks(10_000).zip(echoed.chunks_mut(10_000)) {
        stream.write_all(sent)?;
        stream.read_exact(received)?;
    }
    assert_eq!(bytes, echoed);
    Ok("echoed")
}
