//! Messages of plain bytes.

use std::time::Duration;

use crate::{host, ActorId};

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message {
        /// 0: it has none.
        tag: i64,
    },
    /// A linked actor ended badly, and the caller does not die with its links.
    LinkDied {
        /// What the link was made with.
        tag: i64,
    },
    /// A monitored actor ended.
    ActorDied(ActorId),
}

/// Sends bytes to an actor; waits while its mailbox is full. A dead one gets nothing.
///
/// A message that is larger than the whole mailbox (`limits.mailbox`) ends the caller.
pub fn send(actor: ActorId, tag: i64, bytes: &[u8]) {
    host::send(actor.get(), tag, bytes);
}

/// Waits for what comes first, and replaces `bytes` by the message's. Room that `bytes` has is used again: who receives many
/// allocates for the largest.
///
/// ```no_run
/// let mut bytes = Vec::new();
/// while let perigee::Received::Message { tag } = perigee::receive(&mut bytes) {
///     println!("{tag}: {} bytes", bytes.len());
/// }
/// ```
pub fn receive(bytes: &mut Vec<u8>) -> Received {
    receive_by(&[], u64::MAX, bytes).expect("without a timeout it waits until something comes")
}

/// Like [`receive`], for the first that has one of these tags; what has another stays in the mailbox. Without tags: for the
/// first of all. `None`: none came in that time, which is counted in milliseconds.
pub fn receive_tagged(tags: &[i64], timeout: Option<Duration>, bytes: &mut Vec<u8>) -> Option<Received> {
    // A part of a millisecond is one: who waits for a little does not want to ask without waiting.
    let milliseconds = |timeout: Duration| timeout.as_nanos().div_ceil(1_000_000);
    let timeout = timeout.map_or(u64::MAX, |timeout| u64::try_from(milliseconds(timeout)).unwrap_or(u64::MAX));
    receive_by(tags, timeout, bytes)
}

fn receive_by(tags: &[i64], timeout_ms: u64, bytes: &mut Vec<u8>) -> Option<Received> {
    let (kind, about) = host::receive(tags, timeout_ms, bytes)?;
    let number = about.tag_or_id;
    Some(match kind {
        host::MESSAGE => Received::Message { tag: number.cast_signed() },
        host::LINK_DIED => Received::LinkDied { tag: number.cast_signed() },
        _ => Received::ActorDied(ActorId::new(number)),
    })
}
