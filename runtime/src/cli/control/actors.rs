//! What is shown of actors, from what the runtime says of them.

use std::collections::HashMap;
use std::time::Duration;

use perigee_runtime::actor::{ActorId, ActorInfo};
use perigee_runtime::{Declared, DeclaredState, Node};

/// Characters of a name that a list has.
const NAME_WIDTH: usize = 40;
/// Characters of a name that is shown for itself: names are the guests', and may be of any length.
const MAX_NAME: usize = 256;

/// All actors of an app at one moment.
pub(super) struct Actors {
    pub(super) all: Vec<ActorInfo>,
    /// Declared actors that do not run, and have not ended for good.
    pub(super) down: Vec<Declared>,
    restarts: HashMap<ActorId, u64>,
}

impl Actors {
    pub(super) fn of(node: &Node) -> Self {
        // Before the others: one that is started meanwhile is seen twice rather than not at all.
        let declared = node.declared();
        let restarts = declared.iter().filter_map(|one| match one.state {
            DeclaredState::Runs(id) => Some((id, one.restarts)),
            DeclaredState::Down(_) | DeclaredState::Done => None,
        });
        let restarts = restarts.collect();
        let down = declared.into_iter().filter(|one| matches!(one.state, DeclaredState::Down(_))).collect();
        Self { all: node.system().look(), down, restarts }
    }

    /// How often a declared actor was started again; `None` for one that another has spawned.
    pub(super) fn restarts(&self, id: ActorId) -> Option<u64> {
        self.restarts.get(&id).copied()
    }
}

/// The first of its names, and how many more there are.
pub(super) fn name(info: &ActorInfo) -> String {
    let Some(first) = info.names.iter().min() else { return "-".to_owned() };
    let name = printable(first, NAME_WIDTH);
    if info.name_count > 1 { format!("{name} +{}", info.name_count - 1) } else { name }
}

pub(super) fn whole_name(name: &str) -> String {
    printable(name, MAX_NAME)
}

/// Of text that a guest chose, what no terminal acts upon.
fn printable(text: &str, width: usize) -> String {
    let mut shown: String = text.chars().take(width).flat_map(char::escape_debug).collect();
    if text.chars().nth(width).is_some() {
        shown.push('…');
    }
    shown
}

/// A number of bytes, with three digits.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else { return bytes.to_string() };
    let (whole, tenth) = (bytes >> shift, (bytes >> (shift - 10) & 1023) * 10 / 1024);
    if whole < 10 && tenth > 0 { format!("{whole}.{tenth}{unit}") } else { format!("{whole}{unit}") }
}

/// A time that was spent.
pub(super) fn time(time: Duration) -> String {
    let (seconds, milliseconds) = (time.as_secs(), time.subsec_millis());
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}.{}s", milliseconds / 100),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (amount, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1Ki"),
            (1536, "1.5Ki"),
            (10 << 20, "10Mi"),
            ((10 << 20) + (900 << 10), "10Mi"),
            (u64::MAX, "16777215Ti"),
        ] {
            assert_eq!(bytes(amount), text);
        }
        for (milliseconds, text) in [(0, "0ms"), (999, "999ms"), (1_950, "1.9s"), (61_000, "1m01s"), (7_260_000, "2h01m")] {
            assert_eq!(time(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn a_name_cannot_play_with_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b", 40), r"a\u{1b}[2J\n\u{202e}b");
        assert_eq!(printable(&"x".repeat(41), 40), "x".repeat(40) + "…");
    }
}
