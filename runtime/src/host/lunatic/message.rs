//! `lunatic::message`: writing, sending, receiving and reading messages.
//!
//! A process writes one message at a time and reads one at a time, in one place: what it receives replaces what it wrote.

use std::sync::Arc;

use wasmtime::{Caller, Linker, Result, bail};

use super::TIMED_OUT;
use crate::actor::{Actor, ActorId, Began, Envelope, Filter, Message};
use crate::guest::Guest;
use crate::host::memory::{bytes, bytes_mut, split};
use crate::host::{Attempt, idle, import_module};

/// Results of a receive.
const MESSAGE: u32 = 0;
const LINK_DIED: u32 = 1;
const PROCESS_DIED: u32 = 2;
/// Tags of one receive: the host copies them, and compares each with each message.
const MAX_TAGS: u32 = 1_024;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::message", {
        sync create_data(tag: i64, capacity: u64) -> ();
        sync write_data(ptr: u32, len: u32) -> u32;
        sync read_data(ptr: u32, len: u32) -> u32;
        sync seek_data(index: u64) -> ();
        sync get_tag() -> i64;
        sync get_process_id() -> u64;
        sync data_size() -> u64;
        tries send(process: u64) -> u32, then wait_for_room;
        suspends send_receive_skip_search(process: u64, tag: i64, timeout: u64) -> u32;
        tries receive(tags: u32, tags_len: u32, timeout: u64) -> u32, then wait_for_message;
    });
    Ok(())
}

/// Starts a message. `capacity` is a hint. What was written before is dropped.
fn create_data(caller: &mut Caller<'_, Guest>, tag: i64, capacity: u64) -> Result<()> {
    caller.data_mut().scratch.start(tag, capacity);
    Ok(())
}

/// Appends bytes to the message.
///
/// # Returns
/// `len`.
/// # Traps
/// There is no message; it and the guest would together be larger than limits.memory.
fn write_data(caller: &mut Caller<'_, Guest>, ptr: u32, len: u32) -> Result<u32> {
    let (memory, guest) = split(caller)?;
    guest.scratch.append(bytes(memory, ptr, len)?)?;
    Ok(len)
}

/// Reads on.
///
/// # Returns
/// Bytes that were read; 0 at the end.
/// # Traps
/// There is no message; the position is behind its end.
fn read_data(caller: &mut Caller<'_, Guest>, ptr: u32, len: u32) -> Result<u32> {
    let (memory, guest) = split(caller)?;
    let read = guest.scratch.read(usize::try_from(len)?)?;
    let count = u32::try_from(read.len())?;
    bytes_mut(memory, ptr, count)?.copy_from_slice(read);
    Ok(count)
}

/// Sets the position of the next read.
fn seek_data(caller: &mut Caller<'_, Guest>, index: u64) -> Result<()> {
    caller.data_mut().scratch.seek(usize::try_from(index)?)
}

/// # Returns
/// The tag of what was received or written; 0: none.
fn get_tag(caller: &mut Caller<'_, Guest>) -> Result<i64> {
    Ok(match caller.data().scratch.envelope()? {
        Envelope::Message(message) => message.tag,
        Envelope::LinkDied { tag } => *tag,
        Envelope::ActorDied(_) => 0,
    })
}

/// # Returns
/// The process whose end was received; 0: something else was.
fn get_process_id(caller: &mut Caller<'_, Guest>) -> Result<u64> {
    Ok(match caller.data().scratch.envelope()? {
        Envelope::ActorDied(id) => id.0,
        Envelope::Message(_) | Envelope::LinkDied { .. } => 0,
    })
}

/// # Returns
/// All bytes of the message, read or not.
fn data_size(caller: &mut Caller<'_, Guest>) -> Result<u64> {
    Ok(u64::try_from(caller.data_mut().scratch.message()?.data.len())?)
}

/// Sends the message. A dead or unknown process gets nothing.
///
/// # Returns
/// 0.
/// # Traps
/// There is no message; it is larger than the receiver's whole mailbox.
/// # Suspends
/// While the receiver's mailbox is full.
fn send(caller: &mut Caller<'_, Guest>, process: u64) -> Result<Attempt<(Arc<Actor>, Message)>> {
    let guest = caller.data_mut();
    let message = guest.scratch.take()?;
    let sender = guest.actor.id();
    let Some(receiver) = guest.receiver(ActorId(process)) else { return Ok(Attempt::Done(0)) };
    Ok(match receiver.try_send(message, Some(sender))? {
        None => Attempt::Done(0),
        Some(message) => Attempt::Waits((Arc::clone(receiver), message)),
    })
}

async fn wait_for_room(caller: &mut Caller<'_, Guest>, (receiver, message): (Arc<Actor>, Message)) -> Result<u32> {
    receiver.send(message, Some(&caller.data().actor)).await?;
    Ok(0)
}

/// Sends the message, then waits for one with exactly `tag`, without a look at those that came before.
///
/// # Returns
/// 0: it came; 9027: `timeout` milliseconds are over.
async fn send_receive_skip_search(caller: &mut Caller<'_, Guest>, process: u64, tag: i64, milliseconds: u64) -> Result<u32> {
    let guest = caller.data_mut();
    let message = guest.scratch.take()?;
    let receiver = guest.receiver(ActorId(process)).map(Arc::clone);
    let sender = &guest.actor;
    let send = async {
        match receiver {
            Some(receiver) => receiver.send(message, Some(sender)).await,
            None => Ok(()),
        }
    };
    sender.send_and_wait(tag, send).await?;
    let received = idle::waited(caller, Began::Before, milliseconds).await;
    Ok(keep(caller.data_mut(), received))
}

/// Receives the first message with one of the tags; no tags: the first of all.
///
/// # Returns
/// 0: a message; 1: the end of a linked process; 2: the end of a monitored one; 9027: `timeout` milliseconds are over.
/// # Traps
/// More than 1,024 tags.
/// # Suspends
/// Until it comes.
fn receive(caller: &mut Caller<'_, Guest>, tags: u32, tags_len: u32, milliseconds: u64) -> Result<Attempt<u64>> {
    let filter = filter(caller, tags, tags_len)?;
    let guest = caller.data_mut();
    let received = if milliseconds == 0 { guest.actor.take(&filter) } else { guest.actor.take_or_wait(filter) };
    Ok(match received {
        None if milliseconds > 0 => Attempt::Waits(milliseconds),
        received => Attempt::Done(keep(guest, received)),
    })
}

async fn wait_for_message(caller: &mut Caller<'_, Guest>, milliseconds: u64) -> Result<u32> {
    let received = idle::waited(caller, Began::Now, milliseconds).await;
    Ok(keep(caller.data_mut(), received))
}

/// What a receive by so many tags takes; without any, all.
pub(in crate::host) fn filter(caller: &mut Caller<'_, Guest>, tags: u32, tags_len: u32) -> Result<Filter> {
    Ok(if tags_len == 0 { Filter::Any } else { Filter::Tags(read_tags(caller, tags, tags_len)?) })
}

/// Keeps what was received, if time was not over. Returns what it is.
fn keep(guest: &mut Guest, received: Option<Envelope>) -> u32 {
    let Some(envelope) = received else { return TIMED_OUT };
    let kind = kind(&envelope);
    guest.memory_account.forget_refusal();
    guest.scratch.received(envelope);
    kind
}

/// The result of a receive that got it.
pub(in crate::host) fn kind(envelope: &Envelope) -> u32 {
    match envelope {
        Envelope::Message(_) => MESSAGE,
        Envelope::LinkDied { .. } => LINK_DIED,
        Envelope::ActorDied(_) => PROCESS_DIED,
    }
}

fn read_tags(caller: &mut Caller<'_, Guest>, ptr: u32, count: u32) -> Result<Vec<i64>> {
    if count > MAX_TAGS {
        bail!("{count} tags to receive by: {MAX_TAGS} is the most");
    }
    let (memory, _) = split(caller)?;
    let bytes = bytes(memory, ptr, count.saturating_mul(8))?;
    Ok(bytes.chunks_exact(8).filter_map(|tag| tag.try_into().ok()).map(i64::from_le_bytes).collect())
}
