//! One connection: read a request, answer it, close.

use std::io::{self, BufReader, ErrorKind, Read};
use std::time::{Duration, Instant};

use lunatic::net::TcpStream;
use lunatic::{Mailbox, Process};
use serde::{Deserialize, Serialize};

use crate::http::{self, BadRequest, Request, Status};
use crate::{crc32, Hit};

/// What a peer may take for a whole request.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// What a peer may take for the response.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// What a peer may take to read a refusal and close.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// How long the counter may take.
const COUNTER_TIME: Duration = Duration::from_secs(5);
/// Rounds of `/work`, of 64 KiB each: seconds of a core.
const MAX_ROUNDS: u32 = 100_000;

/// What a connection actor takes: its connection first, then the counter's answer.
#[derive(Serialize, Deserialize)]
pub enum ToConnection {
    Serve(TcpStream, Process<Hit>),
    Count(u64),
}

/// The actor: ends with its connection.
pub fn serve(_: (), mailbox: Mailbox<ToConnection>) {
    let ToConnection::Serve(mut stream, counter) = mailbox.receive() else { return };
    let deadline = Deadline { stream: stream.clone(), end: Instant::now() + REQUEST_TIME };
    let mut reader = BufReader::with_capacity(4 << 10, deadline);
    let (status, body, read_whole) = match http::read_request(&mut reader) {
        Ok(request) => {
            let (status, body) = answer(&request, &mailbox, counter);
            (status, body, true)
        }
        Err(BadRequest::Refused(status, why)) => (status, format!("{why}\n"), false),
        Err(BadRequest::Closed) => return,
    };
    let written = stream.set_write_timeout(Some(WRITE_TIME)).and_then(|()| http::write_response(&mut stream, status, &body));
    if let Err(error) = written {
        return println!("response not sent: {error}");
    }
    if !read_whole {
        // Closing while the peer still sends would reset the connection, and the response might be lost with it.
        reader.get_mut().end = Instant::now() + LINGER_TIME;
        drop(io::copy(&mut reader.take(1 << 20), &mut io::sink()));
    }
}

fn answer(request: &Request, mailbox: &Mailbox<ToConnection>, counter: Process<Hit>) -> (Status, String) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    match (request.method.as_str(), path) {
        ("GET", "/") => hits(mailbox, counter),
        ("POST", "/") => (Status::Ok, format!("{} bytes, crc32 {:08x}\n", request.body.len(), crc32::update(0, &request.body))),
        ("GET", "/work") => work(query),
        ("GET", "/healthz") => (Status::Ok, "ok\n".to_owned()),
        ("GET", "/crash") => panic!("crashed as asked, to show that the other connections live on"),
        ("GET" | "POST", _) => (Status::NotFound, "there are /, /work?n=ROUNDS, /healthz and /crash\n".to_owned()),
        _ => (Status::MethodNotAllowed, "only GET and POST\n".to_owned()),
    }
}

fn hits(mailbox: &Mailbox<ToConnection>, counter: Process<Hit>) -> (Status, String) {
    counter.send(Hit { reply_to: mailbox.this() });
    match mailbox.receive_timeout(COUNTER_TIME) {
        Ok(ToConnection::Count(count)) => {
            let line = format!("hits {count}\n");
            (Status::Ok, format!("{line}crc32 {:08x}\n", crc32::update(0, line.as_bytes())))
        }
        _ => (Status::Unavailable, "the counter does not answer\n".to_owned()),
    }
}

/// Spends time in C. Nobody else notices: a busy actor is interrupted like a busy thread.
fn work(query: &str) -> (Status, String) {
    let rounds = match query.strip_prefix("n=").map(str::parse::<u32>) {
        Some(Ok(rounds)) if rounds <= MAX_ROUNDS => rounds,
        _ => return (Status::BadRequest, format!("write /work?n=ROUNDS, at most {MAX_ROUNDS}\n")),
    };
    let block = vec![0x5A; 64 << 10];
    let crc = (0..rounds).fold(0, |crc, _| crc32::update(crc, &block));
    (Status::Ok, format!("{rounds} rounds, crc32 {crc:08x}\n"))
}

/// A stream that is readable until a point in time, however slowly bytes trickle in.
struct Deadline {
    stream: TcpStream,
    end: Instant,
}

impl Read for Deadline {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}
