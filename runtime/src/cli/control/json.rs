//! The same as JSON: sizes in bytes, times in the unit that the name says. Fields are only ever added.

use std::io;

use perigee_runtime::actor::{ActorDetails, ActorId, ActorInfo, Filter};
use perigee_runtime::{Declared, DeclaredState};
use serde::Serialize;

use super::actors::Actors;
use super::protocol::Reply;

/// Of the form of what is printed.
const VERSION: u32 = 1;
/// Actors that are rendered before other tasks have their turn.
const AT_ONCE: usize = 256;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Actor<'a> {
    id: u64,
    class: &'a str,
    spawner: Option<u64>,
    state: String,
    names: Vec<&'a str>,
    name_count: usize,
    mailbox: Mailbox,
    memory_bytes: u64,
    cpu_microseconds: u64,
    restarts: Option<u64>,
    links: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<usize>,
}

#[derive(Serialize)]
struct Mailbox {
    messages: usize,
    bytes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Down<'a> {
    class: &'a str,
    restarts: u64,
    restart_in_milliseconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    version: u32,
    #[serde(flatten)]
    actor: Actor<'a>,
    memory_limit_bytes: u64,
    mailbox_limit_bytes: usize,
    /// `null`: it waits for no message; `[]`: for any.
    awaited_tags: Option<&'a [i64]>,
    waiting_senders: usize,
    linked: Vec<Link>,
    monitors: Vec<u64>,
    monitored_by: Vec<u64>,
    dies_with_links: bool,
    timers: usize,
    actors_alive: u32,
    actors_limit: u32,
    children: Vec<u64>,
}

#[derive(Serialize)]
struct Link {
    id: u64,
    tag: i64,
}

impl<'a> Actor<'a> {
    pub(super) fn new(info: &'a ActorInfo, actors: &Actors) -> Self {
        Self {
            id: info.id.0,
            class: &info.class,
            spawner: info.spawner.map(|id| id.0),
            state: info.state.to_string(),
            names: info.names.iter().map(|name| &**name).collect(),
            name_count: info.name_count,
            mailbox: Mailbox { messages: info.messages, bytes: info.mailbox },
            memory_bytes: info.memory,
            cpu_microseconds: u64::try_from(info.cpu.as_micros()).unwrap_or(u64::MAX),
            restarts: actors.restarts(info.id),
            links: info.links,
            cpu_percent: None,
            depth: None,
        }
    }

    pub(super) fn with_percent(self, percent: f64) -> Self {
        Self { cpu_percent: Some((percent * 10.0).round() / 10.0), ..self }
    }

    /// Its place below the app: a list, and no nested objects, because guests decide how deep it is.
    pub(super) fn with_depth(self, depth: usize) -> Self {
        Self { depth: Some(depth), ..self }
    }
}

/// Writes a list of actors.
pub(super) async fn write<T>(
    reply: &mut Reply,
    actors: &Actors,
    rows: &[T],
    actor: impl for<'a> Fn(&'a T) -> Actor<'a>,
) -> io::Result<()> {
    let mut text = format!("{{\"version\":{VERSION},\"actors\":[");
    let mut separator = "";
    for rows in rows.chunks(AT_ONCE) {
        for row in rows {
            text.push_str(separator);
            text.push_str(&serde_json::to_string(&actor(row))?);
            separator = ",";
        }
        reply.out(&text).await?;
        text.clear();
    }
    let down: Vec<_> = actors.down.iter().map(down).collect();
    reply.out(&format!("{text}],\"down\":{}}}\n", serde_json::to_string(&down)?)).await
}

fn down(one: &Declared) -> Down<'_> {
    let wait = match one.state {
        DeclaredState::Down(wait) => wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        DeclaredState::Runs(_) | DeclaredState::Done => None,
    };
    Down { class: &one.class, restarts: one.restarts, restart_in_milliseconds: wait }
}

/// All that is known of one actor.
pub(super) fn details(details: &ActorDetails, children: &[ActorId], actors: &Actors) -> serde_json::Result<String> {
    let numbers = |ids: &[ActorId]| ids.iter().map(|id| id.0).collect();
    serde_json::to_string(&Details {
        version: VERSION,
        actor: Actor::new(&details.info, actors),
        memory_limit_bytes: details.limits.memory,
        mailbox_limit_bytes: details.limits.mailbox,
        awaited_tags: details.awaited.as_ref().map(|awaited| match awaited {
            Filter::Any => [].as_slice(),
            Filter::Tags(tags) => tags,
        }),
        waiting_senders: details.waiting_senders,
        linked: details.links.iter().map(|(id, tag)| Link { id: id.0, tag: *tag }).collect(),
        monitors: numbers(&details.monitors),
        monitored_by: numbers(&details.monitored_by),
        dies_with_links: details.dies_with_links,
        timers: details.timers,
        actors_alive: details.actors.0,
        actors_limit: details.actors.1,
        children: numbers(children),
    })
}
