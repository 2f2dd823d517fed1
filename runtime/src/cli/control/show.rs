//! The commands that answer once: `ps`, `inspect`, `kill`, `healthy`.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use perigee_runtime::actor::{ActorDetails, ActorId, ActorInfo, Filter};
use perigee_runtime::{Declared, DeclaredState, Node};
use tokio::time::{Instant, sleep};

use super::actors::{Actors, bytes, name, time, whole_name};
use super::command::Inspect;
use super::protocol::Reply;
use super::{json, table};

/// How long `kill` waits for the end: an actor that runs is preempted within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(5);
/// Children that `inspect` lists.
const MAX_CHILDREN: usize = 1_000;
/// Declared actors that are named when not all is well.
const MAX_NAMED: usize = 10;

pub(super) async fn ps(node: &Node, as_json: bool, reply: &mut Reply) -> io::Result<u8> {
    let actors = Actors::of(node);
    if as_json {
        json::write(reply, &actors, &actors.all, |info| json::Actor::new(info, &actors)).await?;
        return Ok(0);
    }
    let titles = ["ID", "CLASS", "NAME", "STATE", "MSGS", "MAILBOX", "MEMORY", "CPU", "RESTARTS", "LINKS", "SPAWNER"];
    let rows: Vec<_> = actors.down.iter().map(Row::Down).chain(actors.all.iter().map(Row::Alive)).collect();
    table::write(reply, titles, &rows, |row| row.cells(&actors)).await?;
    Ok(0)
}

enum Row<'a> {
    Down(&'a Declared),
    Alive(&'a ActorInfo),
}

impl Row<'_> {
    fn cells(&self, actors: &Actors) -> [String; 11] {
        let none = || "-".to_owned();
        match self {
            Self::Alive(info) => [
                info.id.to_string(),
                info.class.to_string(),
                name(info),
                info.state.to_string(),
                info.messages.to_string(),
                bytes(info.mailbox as u64),
                bytes(info.memory),
                time(info.cpu),
                actors.restarts(info.id).map_or_else(none, |restarts| restarts.to_string()),
                info.links.to_string(),
                info.spawner.map_or_else(none, |id| id.to_string()),
            ],
            Self::Down(one) => {
                let (class, restarts) = (one.class.to_string(), one.restarts.to_string());
                let [id, name, messages, mailbox, memory, cpu, links, spawner] = std::array::from_fn(|_| none());
                [id, class, name, waits(one), messages, mailbox, memory, cpu, restarts, links, spawner]
            }
        }
    }
}

/// Of one that does not run.
fn waits(one: &Declared) -> String {
    match one.state {
        DeclaredState::Down(Some(wait)) if !wait.is_zero() => format!("starts in {}", time(wait)),
        _ => "starts".to_owned(),
    }
}

pub(super) async fn inspect(node: &Node, inspect: &Inspect, reply: &mut Reply) -> io::Result<u8> {
    let Some(details) = node.system().look_at(ActorId(inspect.id)) else { return unknown(inspect.id, reply).await };
    let actors = Actors::of(node);
    let children = actors.all.iter().filter(|info| info.spawner == Some(details.info.id)).map(|info| info.id);
    let children: Vec<_> = children.take(MAX_CHILDREN).collect();
    let text = if inspect.output.is_json() {
        json::details(&details, &children, &actors)? + "\n"
    } else {
        describe(&details, &children, &actors)
    };
    reply.out(&text).await?;
    Ok(0)
}

fn describe(details: &ActorDetails, children: &[ActorId], actors: &Actors) -> String {
    let ActorDetails { info, limits, .. } = details;
    let state = match (&details.awaited, info.state.to_string()) {
        (Some(Filter::Any), state) => format!("{state} (any message)"),
        (Some(Filter::Tags(tags)), state) => format!("{state} (tags {})", list(tags.iter())),
        (None, state) => state,
    };
    let links = details.links.iter().map(|(id, tag)| if *tag == 0 { id.to_string() } else { format!("{id} (tag {tag})") });
    let restarts = actors.restarts(info.id).map_or_else(|| "- (another actor has spawned it)".to_owned(), |n| n.to_string());
    let lines = [
        ("id", info.id.to_string()),
        ("class", info.class.to_string()),
        ("names", list(info.names.iter().map(|name| whole_name(name)))),
        ("state", state),
        ("spawner", info.spawner.map_or_else(|| "- (the app)".to_owned(), |id| id.to_string())),
        ("children", list(children.iter())),
        ("restarts", restarts),
        ("messages", format!("{}, {} senders wait for room", info.messages, details.waiting_senders)),
        ("mailbox", format!("{} of {}", bytes(info.mailbox as u64), bytes(limits.mailbox as u64))),
        ("memory", format!("{} of {}", bytes(info.memory), bytes(limits.memory))),
        ("cpu", time(info.cpu)),
        ("actors below", format!("{} of {}", details.actors.0, details.actors.1)),
        ("links", format!("{}: {}", info.links, list(links))),
        ("dies with links", if details.dies_with_links { "yes" } else { "no" }.to_owned()),
        ("monitors", list(details.monitors.iter())),
        ("monitored by", list(details.monitored_by.iter())),
        ("timers", details.timers.to_string()),
    ];
    let mut text = String::new();
    for (title, value) in lines {
        // Writing to a string cannot fail.
        writeln!(text, "{:16} {value}", format!("{title}:")).unwrap_or_default();
    }
    text
}

fn list(items: impl Iterator<Item = impl ToString>) -> String {
    let items: Vec<_> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

async fn unknown(id: u64, reply: &mut Reply) -> io::Result<u8> {
    reply.err(&format!("perigee: no actor {id} is alive: `ps` lists those that are\n")).await?;
    Ok(1)
}

pub(super) async fn kill(node: &Node, id: u64, reply: &mut Reply) -> io::Result<u8> {
    let Some(actor) = node.system().find(ActorId(id)) else { return unknown(id, reply).await };
    tracing::info!(actor = id, class = %actor.class(), "is killed by the control socket");
    actor.kill();
    let deadline = Instant::now() + PATIENCE;
    while node.system().find(actor.id()).is_some() {
        if Instant::now() >= deadline {
            reply.err(&format!("perigee: actor {id} (class {}) was sent a kill, and has not ended yet\n", actor.class())).await?;
            return Ok(1);
        }
        sleep(LOOK).await;
    }
    reply.out(&format!("actor {id} (class {}) was killed\n", actor.class())).await?;
    Ok(0)
}

pub(super) async fn healthy(node: &Node, reply: &mut Reply) -> io::Result<u8> {
    let trouble = trouble(node.is_draining(), &node.declared());
    match &trouble {
        None => reply.out(&format!("healthy: {} actors are alive\n", node.system().len())).await?,
        // Where the kubelet looks for what to put into the event.
        Some(trouble) => reply.out(&format!("not healthy: {trouble}\n")).await?,
    }
    Ok(u8::from(trouble.is_some()))
}

/// What keeps an app from being well.
fn trouble(draining: bool, declared: &[Declared]) -> Option<String> {
    if draining {
        return Some("the app is stopping".to_owned());
    }
    // Every app declares one at least.
    if declared.is_empty() {
        return Some("the app has not started yet".to_owned());
    }
    let down: Vec<_> = declared.iter().filter(|one| matches!(one.state, DeclaredState::Down(_))).collect();
    let named = down.iter().take(MAX_NAMED).map(|one| format!("{} {} (restarts: {})", one.class, waits(one), one.restarts));
    let named: Vec<_> = named.collect();
    let more = down.len() - named.len();
    match (named.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(named.join(", ")),
        (false, more) => Some(format!("{}, and {more} more", named.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_well_when_all_that_it_declares_runs_or_is_done() {
        let one = |state| Declared { class: "web".into(), restarts: 2, state };
        let well = [one(DeclaredState::Runs(ActorId(1))), one(DeclaredState::Done)];
        assert_eq!(trouble(false, &well), None);
        assert_eq!(trouble(false, &[]).as_deref(), Some("the app has not started yet"));
        assert_eq!(trouble(true, &well).as_deref(), Some("the app is stopping"));
        let down = one(DeclaredState::Down(Some(Duration::from_secs(2))));
        assert_eq!(
            trouble(false, &[well, [down.clone(), down.clone()]].concat()).unwrap().matches("web starts in 2.0s").count(),
            2
        );
        assert!(trouble(false, &vec![down; 12]).unwrap().ends_with("(restarts: 2), and 2 more"));
    }
}
