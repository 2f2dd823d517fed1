//! The Lunatic guest ABI, as of lunatic 0.13.1 to 0.14: processes are actors.
//!
//! Integers are little-endian; pointers and lengths are 32 bits wide, ids and milliseconds 64. Functions that can fail
//! return 0 and leave an id at the given address, or 1 and leave the id of an error there.

mod config;
mod distributed;
mod dns;
mod error;
pub(super) mod message;
mod metrics;
mod module;
mod process;
mod registry;
mod socket;
mod sqlite;
mod stream;
mod tcp;
mod timer;
mod tls;
mod trap;
mod udp;
mod version;
mod wasi;

use std::fmt::Display;
use std::time::Duration;

use wasmtime::{Caller, Linker, Result};

use super::memory::put_id;
use crate::engine::Sleep;
use crate::guest::Guest;

/// Result of a function that left an id.
pub(super) const ID_IN_OUT: u32 = 0;
/// Result of a function that left an error's id.
const ERROR_IN_OUT: u32 = 1;
/// Result of a function whose time was over.
pub(super) const TIMED_OUT: u32 = 9027;
/// "No timeout" among milliseconds.
const FOREVER: u64 = u64::MAX;

/// Bytes that are kept of an error's text, which may repeat what the guest wrote.
const MAX_ERROR_BYTES: usize = 1_024;

/// What an error takes beside its text: an entry of a table.
const ERROR_BYTES: u64 = 64;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    config::add_to_linker(linker)?;
    distributed::add_to_linker(linker)?;
    dns::add_to_linker(linker)?;
    error::add_to_linker(linker)?;
    message::add_to_linker(linker)?;
    metrics::add_to_linker(linker)?;
    module::add_to_linker(linker)?;
    process::add_to_linker(linker)?;
    registry::add_to_linker(linker)?;
    sqlite::add_to_linker(linker)?;
    tcp::add_to_linker(linker)?;
    timer::add_to_linker(linker)?;
    tls::add_to_linker(linker)?;
    trap::add_to_linker(linker)?;
    udp::add_to_linker(linker)?;
    version::add_to_linker(linker)?;
    wasi::add_to_linker(linker)
}

/// Leaves the id of what a function made.
pub(super) fn give_id(caller: &mut Caller<'_, Guest>, out: u32, id: u64) -> Result<u32> {
    put_id(caller, out, id)?;
    Ok(ID_IN_OUT)
}

/// Leaves an error for the guest.
pub(super) fn give_error(caller: &mut Caller<'_, Guest>, out: u32, error: &dyn Display) -> Result<u32> {
    let id = keep_error(caller, error)?;
    put_id(caller, out, id)?;
    Ok(ERROR_IN_OUT)
}

/// Keeps an error for the guest; returns its id.
fn keep_error(caller: &mut Caller<'_, Guest>, error: &dyn Display) -> Result<u64> {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
    let guest = caller.data_mut();
    if let Err(wanted) = guest.actor.charge_memory(error_cost(&text)) {
        wasmtime::bail!("no memory for an error's text ({wanted} bytes in all, beyond limits.memory): {text}");
    }
    guest.errors.add(text)
}

/// What an error takes of its guest's memory.
fn error_cost(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_add(ERROR_BYTES)
}

/// The tag of a link; 0 stands for "no link".
pub(super) fn link_tag(link: i64) -> Option<i64> {
    (link != 0).then_some(link)
}

/// Milliseconds of a guest as a timeout.
pub(super) fn timeout(guest: &Guest, milliseconds: u64) -> Option<Sleep> {
    (milliseconds != FOREVER).then(|| guest.node.engine.sleep(Duration::from_millis(milliseconds)))
}
