//! An HTTP server in ordinary blocking Rust: one actor per connection, and one that counts.
//!
//! ```text
//! root ──accepts──> connection actor (one per connection) ──Hit──> counter actor
//!  │ <──its end, by monitor──┘            └ calls C: crc32   └──Count──┘
//! ```
//! A connection actor that panics, spins or runs out of memory takes nobody with it. The counter is linked to the root:
//! when it dies, both are started anew.

mod connection;
mod crc32;
mod http;

use std::net::SocketAddr;
use std::time::Duration;

use lunatic::net::{TcpListener, TcpStream};
use lunatic::serializer::Bincode;
use lunatic::{Mailbox, MailboxError, MessageSignal, Process, ProcessDiedSignal};
use serde::{Deserialize, Serialize};

use connection::ToConnection;

/// Connections served at once; more wait in the listener's queue. Below `limits.actors` in app.yaml, and times
/// `limits.memory` it fits `resources.limits.memory` there.
const MAX_CONNECTIONS: usize = 200;

/// What the counter takes: one request was answered; tell how many that makes.
#[derive(Serialize, Deserialize)]
struct Hit {
    reply_to: Process<ToConnection>,
}

#[lunatic::main]
fn main(mailbox: Mailbox<()>) {
    let text = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".to_owned());
    let address: SocketAddr = text.parse().unwrap_or_else(|_| panic!("{text:?} is no address: write one such as 0.0.0.0:8080"));
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
    println!("listening on {address}");
    let counter = Process::spawn_link((), count);
    let mut connections = Connections { mailbox: mailbox.monitorable(), live: 0, stopping: false };
    while !connections.stopping {
        match listener.accept() {
            Ok((stream, _)) => connections.start(stream, counter),
            Err(error) => {
                println!("no more connections: {error}");
                break;
            }
        }
    }
    drop(listener);
    connections.finish();
    println!("stopped");
}

/// Counts for as long as the app lives.
fn count(_: (), mailbox: Mailbox<Hit>) {
    for hits in 1.. {
        mailbox.receive().reply_to.send(ToConnection::Count(hits));
    }
}

/// The live connection actors, known by their number.
struct Connections {
    mailbox: Mailbox<(), Bincode, ProcessDiedSignal>,
    live: usize,
    stopping: bool,
}

impl Connections {
    /// Starts an actor for a connection, when there is room for one.
    fn start(&mut self, stream: TcpStream, counter: Process<Hit>) {
        while self.note(Duration::ZERO) {}
        while self.live >= MAX_CONNECTIONS {
            self.note(Duration::MAX);
        }
        let actor = Process::spawn((), connection::serve);
        // Monitored before it has anything to do: an actor that ended before would never be heard of.
        self.mailbox.monitor(actor);
        self.live += 1;
        actor.send(ToConnection::Serve(stream, counter));
    }

    /// Lets requests that run finish.
    fn finish(&mut self) {
        while self.live > 0 {
            self.note(Duration::MAX);
        }
    }

    /// Takes one notice from the mailbox: a connection ended, or the app is to stop. False when none came in time.
    fn note(&mut self, patience: Duration) -> bool {
        match self.mailbox.receive_timeout(patience) {
            Ok(MessageSignal::Signal(_)) => self.live -= 1,
            Ok(MessageSignal::Message(())) | Err(MailboxError::DeserializationFailed(_)) => self.stopping = true,
            Err(MailboxError::TimedOut) => return false,
        }
        true
    }
}
