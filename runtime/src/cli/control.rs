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

use std::sync::Arc;
use std::time::Duration;

use perigee_runtime::Node;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

pub(super) use client::Local;
pub(super) use inherited::inherited;
pub(super) use place::{Bound, Place};

use command::{Command, parse};
use protocol::{Lines, Reply, Request, VERSION, What};

/// Clients at once. What is rendered for one is memory of this process that no actor pays for: some MiB with 9,000 actors.
const MAX_SESSIONS: usize = 4;
/// For the one line that a client begins with.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Before another attempt to accept when there is no descriptor left.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers whoever connects, for as long as this is polled.
pub(super) async fn serve(listener: UnixListener, node: Arc<Node>) {
    let room = Arc::new(Semaphore::new(MAX_SESSIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let permit = Arc::clone(&room).try_acquire_owned().ok();
                tokio::spawn(session(stream, Arc::clone(&node), permit));
            }
            Err(error) => {
                tracing::debug!("nobody is let in to the control socket: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// One client. That it went away is the end of its session, and no failure.
async fn session(stream: UnixStream, node: Arc<Node>, permit: Option<OwnedSemaphorePermit>) {
    let (reader, writer) = stream.into_split();
    let mut lines = Lines::new(reader);
    let mut reply = Reply::new(writer);
    let told = match (&permit, timeout(REQUEST_TIMEOUT, lines.next()).await) {
        (None, _) => refuse(&mut reply, 1, "others are looking at these actors already: try again later").await,
        (_, Err(_)) => refuse(&mut reply, 2, "the request did not come").await,
        (_, Ok(Err(error))) => refuse(&mut reply, 2, &format!("the request cannot be read: {error}")).await,
        (_, Ok(Ok(None))) => return,
        (_, Ok(Ok(Some(line)))) => match serde_json::from_slice::<Request>(&line) {
            Ok(Request { version, .. }) if version != VERSION => {
                refuse(&mut reply, 2, &format!("the request is of version {version}: this is version {VERSION}")).await
            }
            Ok(Request { what, .. }) => answer(&node, what, &mut lines, &mut reply).await,
            Err(error) => refuse(&mut reply, 2, &format!("the request is not understood: {error}")).await,
        },
    };
    if let Err(error) = told {
        tracing::debug!("a client of the control socket is gone: {error}");
    }
}

async fn refuse(reply: &mut Reply, code: u8, text: &str) -> std::io::Result<()> {
    reply.err(&format!("perigee: {text}\n")).await?;
    reply.exit(code).await
}

async fn answer(node: &Node, what: What, lines: &mut Lines, reply: &mut Reply) -> std::io::Result<()> {
    let (args, terminal) = match what {
        What::Run { args, terminal } => (args, terminal),
        What::Limit { class, memory } => {
            return match node.set_memory_limit(&class, memory) {
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
