//! A message of plain bytes in one call: sent from the guest's memory, received into it.
//!
//! `lunatic::message` takes three calls for either, which is most of what a small message costs. The two can be mixed; what
//! these need no room of the host for leaves the message alone that is written or read by those.
//!
//! `try_send` and `try_receive` never wait, and cost half of what a call costs that may: who has to wait after all calls the
//! other one. A guest that was told that there is more to receive tries first.

use thin_vec::ThinVec;
use wasmtime::{Caller, Linker, Result};

use crate::actor::{ActorId, Began, Data, Envelope, Message};
use crate::guest::Guest;
use crate::host::lunatic::TIMED_OUT;
use crate::host::lunatic::message::{filter, kind};
use crate::host::memory::{bytes, bytes_mut, put, split};
use crate::host::{Attempt, idle, import_module};

/// Results of a send that does not wait.
const SENT: u32 = 0;
const FULL: u32 = 1;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "perigee", {
        sync try_send(process: u64, tag: i64, ptr: u32, len: u32) -> u32;
        suspends send(process: u64, tag: i64, ptr: u32, len: u32) -> ();
        sync try_receive(tags: u32, tags_len: u32, ptr: u32, len: u32, about: u32) -> u32;
        tries receive(tags: u32, tags_len: u32, timeout: u64, ptr: u32, len: u32, about: u32) -> u32, then wait_for_message;
    });
    Ok(())
}

/// Sends `len` bytes at `ptr`, if the receiver's mailbox has room for them. A dead or unknown process gets nothing.
///
/// # Returns
/// 0; 1: the mailbox is full, and nothing was sent.
/// # Traps
/// The message is larger than the receiver's whole mailbox; the bytes are outside of the guest's memory.
fn try_send(caller: &mut Caller<'_, Guest>, process: u64, tag: i64, ptr: u32, len: u32) -> Result<u32> {
    let (memory, guest) = split(caller)?;
    let bytes = bytes(memory, ptr, len)?;
    let sender = guest.actor.id();
    let Some(receiver) = guest.receiver(ActorId(process)) else { return Ok(SENT) };
    receiver.takes(Message::cost_of(bytes.len()))?;
    Ok(if receiver.try_send(message(tag, bytes), Some(sender))?.is_none() { SENT } else { FULL })
}

/// Sends `len` bytes at `ptr`. A dead or unknown process gets nothing.
///
/// # Traps
/// As for `try_send`.
/// # Suspends
/// While the receiver's mailbox is full. The host holds no copy meanwhile: it makes one at each attempt.
async fn send(caller: &mut Caller<'_, Guest>, process: u64, tag: i64, ptr: u32, len: u32) -> Result<()> {
    let (memory, guest) = split(caller)?;
    let bytes = bytes(memory, ptr, len)?;
    let Some(receiver) = guest.receiver(ActorId(process)).cloned() else { return Ok(()) };
    receiver.takes(Message::cost_of(bytes.len()))?;
    receiver.send_made(|| message(tag, bytes), &guest.actor).await?;
    Ok(())
}

fn message(tag: i64, bytes: &[u8]) -> Message {
    Message { tag, data: Data::from_slice(bytes), resources: ThinVec::new() }
}

/// Where the guest wants what it receives.
#[derive(Clone, Copy)]
struct Place {
    /// Of the bytes.
    ptr: u32,
    len: u32,
    /// Of 16 bytes that say what came.
    about: u32,
}

/// Receives, as `receive` does, what has come already.
///
/// # Returns
/// As `receive`; 9027: nothing has come.
/// # Traps
/// As for `receive`.
fn try_receive(caller: &mut Caller<'_, Guest>, tags: u32, tags_len: u32, ptr: u32, len: u32, about: u32) -> Result<u32> {
    let filter = filter(caller, tags, tags_len)?;
    let received = caller.data().actor.take(&filter);
    give(caller, received, Place { ptr, len, about })
}

/// Receives the first message with one of the tags, no tags: the first of all. Its first `len` bytes go to `ptr`. What it has
/// beyond, and its resources, can be had from `lunatic::message`, until the next is received or written there.
///
/// At `about` it leaves 16 bytes: the message's tag, or that of the link, or the id of the process that died (64 bits); how
/// many bytes the message has (32); how many more there are to receive without waiting, at the least (32).
///
/// # Returns
/// 0: a message; 1: the end of a linked process; 2: the end of a monitored one; 9027: `timeout` milliseconds are over.
/// # Traps
/// More than 1,024 tags; a place outside of the guest's memory.
/// # Suspends
/// Until it comes.
fn receive(
    caller: &mut Caller<'_, Guest>,
    tags: u32,
    tags_len: u32,
    milliseconds: u64,
    ptr: u32,
    len: u32,
    about: u32,
) -> Result<Attempt<(u64, Place)>> {
    let filter = filter(caller, tags, tags_len)?;
    let (actor, place) = (&caller.data().actor, Place { ptr, len, about });
    let received = if milliseconds == 0 { actor.take(&filter) } else { actor.take_or_wait(filter) };
    Ok(match received {
        None if milliseconds > 0 => Attempt::Waits((milliseconds, place)),
        received => Attempt::Done(give(caller, received, place)?),
    })
}

async fn wait_for_message(caller: &mut Caller<'_, Guest>, (milliseconds, place): (u64, Place)) -> Result<u32> {
    let received = idle::waited(caller, Began::Now, milliseconds).await;
    give(caller, received, place)
}

/// Leaves with the guest what was received, if time was not over. Returns what it is.
fn give(caller: &mut Caller<'_, Guest>, received: Option<Envelope>, place: Place) -> Result<u32> {
    let Some(envelope) = received else { return Ok(TIMED_OUT) };
    let (memory, guest) = split(caller)?;
    guest.memory_account.forget_refusal();
    let (kind, cost) = (kind(&envelope), envelope.cost());
    let (tag_or_id, bytes, left) = match envelope {
        Envelope::Message(message) => {
            let (tag, bytes) = (message.tag.to_le_bytes(), message.data.len());
            let fits = bytes.min(usize::try_from(place.len)?);
            let room = bytes_mut(memory, place.ptr, u32::try_from(fits)?)?;
            room.copy_from_slice(message.data.get(..fits).unwrap_or_default());
            let is_done = fits == bytes && message.resources.is_empty();
            (tag, bytes, (!is_done).then_some((message, fits)))
        }
        Envelope::LinkDied { tag } => (tag.to_le_bytes(), 0, None),
        Envelope::ActorDied(id) => (id.0.to_le_bytes(), 0, None),
    };
    match left {
        Some((message, read)) => {
            guest.scratch.received(Envelope::Message(message));
            guest.scratch.seek(read)?;
        }
        None => guest.actor.release_received(cost),
    }
    put(memory, place.about, about(tag_or_id, bytes, guest.actor.at_hand())?)?;
    Ok(kind)
}

/// The 16 bytes that say what came.
fn about(tag_or_id: [u8; 8], bytes: usize, more: usize) -> Result<[u8; 16]> {
    let (bytes, more) = (u32::try_from(bytes)?, u32::try_from(more).unwrap_or(u32::MAX));
    let mut about = [0; 16];
    let (first, rest) = about.split_at_mut(8);
    let (second, third) = rest.split_at_mut(4);
    first.copy_from_slice(&tag_or_id);
    second.copy_from_slice(&bytes.to_le_bytes());
    third.copy_from_slice(&more.to_le_bytes());
    Ok(about)
}
