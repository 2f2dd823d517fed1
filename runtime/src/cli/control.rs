//! The control socket: who may reach it looks at the actors of a running app, and ends some.
//!
//! In a container the worker gets it from the shim, already listening: it has no path that a guest could open. Of a
//! `perigee run` it lies in a folder of the user's own (see `place.rs`). The one that answers also renders: a shim only
//! relays text, so that it need not know what there is to ask.
//!
//! ```text
//! client -> {"version":1,"run":{"args":["ps"],"terminal":null}}       one line; then {"columns":80,"rows":24} on a resize
//!        or {"version":1,"limit":{"class":"main","memory":67108864}}  by the shim alone
//! server -> {"out":"…"} | {"err":"…"}                                 as many as it takes
//! server -> {"exit":0}                                                the last one
//! ```

mod actors;
mod client;
mod command;
mod inherited;
mod json;
mod place;
mod protocol;
mod show;
mod table;
mod top;
mod tree;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use perigee_runtime::Node;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

pub(super) use client::Local;
pub(super) use inherited::inherited;
pub(super) use place::{Bound, Place};

use command::{Command, parse};
use protocol::{Lines, Reply, Request, VERSION, What};

/// Connections at once; more wait until one is over. What a silent one may take is bounded by time.
const MAX_SESSIONS: usize = 32;
/// Of these, those that look at all actors: what is rendered for one is memory of this process that no actor pays for, some
/// MiB with 9,000 actors. Probes and kills are no such, and never turned away for them.
const MAX_LOOKERS: usize = 4;
/// For the one line that a client begins with.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Before another attempt to accept when there is no descriptor left.
const PAUSE: Duration = Duration::from_millis(200);

/// What all sessions share.
struct Server {
    node: Arc<Node>,
    sessions: Arc<Semaphore>,
    lookers: Semaphore,
}

/// Answers whoever connects, for as long as this is polled.
pub(super) async fn serve(listener: UnixListener, node: Arc<Node>) {
    let sessions = Arc::new(Semaphore::new(MAX_SESSIONS));
    let server = Arc::new(Server { node, sessions, lookers: Semaphore::new(MAX_LOOKERS) });
    // It is never closed.
    while let Ok(place) = Arc::clone(&server.sessions).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    server.session(stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("nobody is let in to the control socket: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Server {
    /// One client. That it went away is the end of its session, and no failure.
    async fn session(&self, stream: UnixStream) {
        let (reader, writer) = stream.into_split();
        let mut lines = Lines::new(reader);
        let mut reply = Reply::new(writer);
        let told = match timeout(REQUEST_TIMEOUT, lines.next()).await {
            Err(_) => refuse(&mut reply, 2, "the request did not come").await,
            Ok(Err(error)) => refuse(&mut reply, 2, &format!("the request cannot be read: {error}")).await,
            Ok(Ok(None)) => return,
            Ok(Ok(Some(line))) => match serde_json::from_slice::<Request>(&line) {
                Ok(Request { version, .. }) if version != VERSION => {
                    refuse(&mut reply, 2, &format!("the request is of version {version}: this is version {VERSION}")).await
                }
                Ok(Request { what, .. }) => self.answer(what, &mut lines, &mut reply).await,
                Err(error) => refuse(&mut reply, 2, &format!("the request is not understood: {error}")).await,
            },
        };
        if let Err(error) = told {
            tracing::debug!("a client of the control socket is gone: {error}");
        }
    }

    async fn answer(&self, what: What, lines: &mut Lines, reply: &mut Reply) -> io::Result<()> {
        let (args, terminal) = match what {
            What::Run { args, terminal } => (args, terminal),
            What::Limit { class, memory } => {
                return match self.node.set_memory_limit(&class, memory) {
                    Ok(()) => reply.exit(0).await,
                    Err(error) => refuse(reply, 1, &error.to_string()).await,
                };
            }
        };
        reply.for_terminal(terminal.is_some());
        let command = match parse(&args) {
            Ok(command) => command,
            Err(refusal) => {
                let told = if refusal.code == 0 { reply.out(&refusal.text).await } else { reply.err(&refusal.text).await };
                told?;
                return reply.exit(refusal.code).await;
            }
        };
        let looks_at_all = !matches!(command, Command::Kill(_) | Command::Healthy(_));
        let looker = if looks_at_all { Some(self.lookers.try_acquire()) } else { None };
        if let Some(Err(_)) = looker {
            return refuse(reply, 1, "others are looking at these actors already: try again later").await;
        }
        let node = &self.node;
        let code = match command {
            Command::Ps(ps) => show::ps(node, ps.output.is_json(), reply).await?,
            Command::Top(top) => top::run(node, &top, terminal, lines, reply).await?,
            Command::Tree(tree) => tree::run(node, tree.output.is_json(), reply).await?,
            Command::Inspect(inspect) => show::inspect(node, &inspect, reply).await?,
            Command::Kill(kill) => show::kill(node, kill.id, reply).await?,
            Command::Healthy(_) => show::healthy(node, reply).await?,
        };
        reply.exit(code).await
    }
}

async fn refuse(reply: &mut Reply, code: u8, text: &str) -> io::Result<()> {
    reply.err(&format!("perigee: {text}\n")).await?;
    reply.exit(code).await
}
