//! `top`: the busiest first.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use perigee_runtime::Node;
use perigee_runtime::actor::{ActorId, ActorInfo};
use tokio::time::{Instant, sleep_until};

use super::actors::{Actors, bytes, name, time};
use super::command::Top;
use super::protocol::{Lines, Reply, Size};
use super::{json, table};

/// The cursor to the corner, and all after it cleared. The screen is not left for another one: that could not be taken back
/// when the connection breaks.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";
/// Lines above the actors.
const HEADER: u16 = 3;
/// What looks like a terminal of no size has one.
const DEFAULT_SIZE: Size = Size { columns: 80, rows: 24 };

/// What each actor had run at a moment.
struct Sample {
    at: Instant,
    actors: Actors,
}

impl Sample {
    fn take(node: &Node) -> Self {
        Self { at: Instant::now(), actors: Actors::of(node) }
    }

    /// Actors with their share of a processor since another sample, the busiest first; of those that are alike, the
    /// larger. One that is newer than that sample ran since it began.
    fn since<'a>(&'a self, before: &Self) -> Vec<(&'a ActorInfo, f64)> {
        let ran: HashMap<ActorId, Duration> = before.actors.all.iter().map(|info| (info.id, info.cpu)).collect();
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(f64::EPSILON);
        let share = |info: &ActorInfo| {
            let since = info.cpu.saturating_sub(ran.get(&info.id).copied().unwrap_or_default());
            since.as_secs_f64() / seconds * 100.0
        };
        let mut shares: Vec<_> = self.actors.all.iter().map(|info| (info, share(info))).collect();
        shares.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(Reverse(a.memory).cmp(&Reverse(b.memory))).then(a.id.cmp(&b.id)));
        shares
    }
}

pub(super) async fn run(node: &Node, top: &Top, terminal: Option<Size>, lines: &mut Lines, reply: &mut Reply) -> io::Result<u8> {
    let delay = Duration::from_secs(top.delay.into());
    let mut before = Sample::take(node);
    let terminal = terminal.filter(|_| !top.output.is_json());
    let mut size = terminal.unwrap_or(DEFAULT_SIZE);
    if terminal.is_some() {
        // Something to look at before there is anything to compare.
        screen(&before, &before, size, reply).await?;
    }
    loop {
        tokio::select! {
            line = lines.next() => {
                let Some(line) = line? else { return Ok(0) };
                // Anything else is from a newer client.
                size = serde_json::from_slice(&line).unwrap_or(size);
                continue;
            }
            () = sleep_until(before.at + delay) => {}
        }
        let now = Sample::take(node);
        if terminal.is_none() {
            once(&now, &before, top.output.is_json(), reply).await?;
            return Ok(0);
        }
        screen(&now, &before, size, reply).await?;
        before = now;
    }
}

async fn once(now: &Sample, before: &Sample, as_json: bool, reply: &mut Reply) -> io::Result<()> {
    let shares = now.since(before);
    if as_json {
        return json::write(reply, &now.actors, &shares, |(info, share)| {
            json::Actor::new(info, &now.actors).with_percent(*share)
        })
        .await;
    }
    reply.out(&summary(&now.actors, &shares)).await?;
    list(&shares, reply).await
}

/// One picture, which fits into the terminal.
async fn screen(now: &Sample, before: &Sample, size: Size, reply: &mut Reply) -> io::Result<()> {
    let size = if size.rows == 0 || size.columns == 0 { DEFAULT_SIZE } else { size };
    let mut shares = now.since(before);
    let summary = summary(&now.actors, &shares);
    shares.truncate(size.rows.saturating_sub(HEADER).into());
    reply.narrow(Some(size.columns.into()));
    reply.out(CLEAR).await?;
    reply.out(&summary).await?;
    list(&shares, reply).await?;
    reply.narrow(None);
    Ok(())
}

fn summary(actors: &Actors, shares: &[(&ActorInfo, f64)]) -> String {
    let memory = actors.all.iter().map(|info| info.memory).sum();
    let busy: f64 = shares.iter().map(|(_, share)| share).sum();
    let down = if actors.down.is_empty() { String::new() } else { format!(", {} wait for a restart", actors.down.len()) };
    format!("{} actors with {}, {busy:.1}% of a processor{down}\n", actors.all.len(), bytes(memory))
}

async fn list(shares: &[(&ActorInfo, f64)], reply: &mut Reply) -> io::Result<()> {
    let titles = ["ID", "CLASS", "STATE", "CPU%", "CPU", "MEMORY", "MSGS", "MAILBOX", "NAME"];
    table::write(reply, titles, shares, |(info, share)| {
        [
            info.id.to_string(),
            info.class.to_string(),
            info.state.to_string(),
            format!("{share:.1}"),
            time(info.cpu),
            bytes(info.memory),
            info.messages.to_string(),
            bytes(info.mailbox as u64),
            name(info),
        ]
    })
    .await
}
