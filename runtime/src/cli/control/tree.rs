//! `tree`: actors by who spawned them.

use std::collections::HashMap;
use std::io;

use perigee_runtime::Node;
use perigee_runtime::actor::{ActorId, ActorInfo};

use super::actors::{Actors, bytes, name, time};
use super::protocol::Reply;
use super::{json, table};

/// Levels that are indented: guests decide how deep the tree is.
const MAX_INDENT: usize = 32;

pub(super) async fn run(node: &Node, as_json: bool, reply: &mut Reply) -> io::Result<u8> {
    let actors = Actors::of(node);
    let order = order(&actors.all);
    if as_json {
        json::write(reply, &actors, &order, |(info, depth)| json::Actor::new(info, &actors).with_depth(*depth)).await?;
        return Ok(0);
    }
    let titles = ["ACTOR", "NAME", "STATE", "MEMORY", "CPU"];
    table::write(reply, titles, &order, |(info, depth)| {
        [branch(info, *depth), name(info), info.state.to_string(), bytes(info.memory), time(info.cpu)]
    })
    .await?;
    Ok(0)
}

fn branch(info: &ActorInfo, depth: usize) -> String {
    let indent = "  ".repeat(depth.min(MAX_INDENT));
    let deeper = if depth > MAX_INDENT { format!("(level {depth}) ") } else { String::new() };
    let orphaned = match info.spawner {
        Some(spawner) if depth == 0 => format!(" (its spawner {spawner} has ended)"),
        _ => String::new(),
    };
    format!("{indent}{deeper}{} {}{orphaned}", info.class, info.id)
}

/// Each actor behind its spawner, with its level. One whose spawner has ended stands at the top.
fn order(all: &[ActorInfo]) -> Vec<(&ActorInfo, usize)> {
    let mut children: HashMap<Option<ActorId>, Vec<&ActorInfo>> = HashMap::new();
    let alive: std::collections::HashSet<_> = all.iter().map(|info| info.id).collect();
    // The last first, as they are taken from the end.
    for info in all.iter().rev() {
        children.entry(info.spawner.filter(|spawner| alive.contains(spawner))).or_default().push(info);
    }
    let top = children.remove(&None).unwrap_or_default();
    let mut open: Vec<_> = top.into_iter().map(|info| (info, 0)).collect();
    let mut order = Vec::with_capacity(all.len());
    // No recursion, for the same reason.
    while let Some((info, depth)) = open.pop() {
        order.push((info, depth));
        open.extend(children.remove(&Some(info.id)).unwrap_or_default().into_iter().map(|info| (info, depth + 1)));
    }
    order
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perigee_runtime::actor::ActorState;

    use super::*;

    fn actor(id: u64, spawner: Option<u64>) -> ActorInfo {
        ActorInfo {
            id: ActorId(id),
            class: "x".into(),
            spawner: spawner.map(ActorId),
            state: ActorState::Waiting,
            names: Vec::new(),
            name_count: 0,
            messages: 0,
            mailbox: 0,
            memory: 0,
            cpu: Duration::ZERO,
            links: 0,
        }
    }

    #[test]
    fn each_actor_stands_behind_its_spawner_and_orphans_at_the_top() {
        let all = [actor(1, None), actor(2, None), actor(3, Some(1)), actor(4, Some(99)), actor(5, Some(3)), actor(6, Some(1))];
        let order: Vec<_> = order(&all).into_iter().map(|(info, depth)| (info.id.0, depth)).collect();
        assert_eq!(order, [(1, 0), (3, 1), (5, 2), (6, 1), (2, 0), (4, 0)]);
        assert_eq!(branch(&all[3], 0), "x 4 (its spawner 99 has ended)");
    }

    #[test]
    fn a_chain_of_spawners_is_no_stair_without_end() {
        let all: Vec<_> = (1..=9_000).map(|id| actor(id, (id > 1).then_some(id - 1))).collect();
        let order = order(&all);
        assert_eq!(order.len(), all.len());
        let (last, depth) = order.last().unwrap();
        assert_eq!(*depth, 8_999);
        assert_eq!(branch(last, *depth), format!("{}(level 8999) x 9000", "  ".repeat(32)));
    }
}
