//! `lunatic::timer`: messages that are sent later.

use std::time::Duration;

use wasmtime::{Caller, Linker, Result};

use crate::actor::ActorId;
use crate::guest::Guest;
use crate::host::import_module;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::timer", {
        sync send_after(process: u64, delay: u64) -> u64;
        sync cancel_timer(timer: u64) -> u32;
    });
    Ok(())
}

/// Sends the message that was written to `process`, if it is alive now, after `delay` milliseconds.
///
/// # Returns
/// The timer.
/// # Traps
/// No message was written; too many timers are pending; the message and the guest together are beyond limits.memory.
fn send_after(caller: &mut Caller<'_, Guest>, process: u64, delay: u64) -> Result<u64> {
    let guest = caller.data_mut();
    let message = guest.scratch.take()?;
    Ok(guest.node.system.send_after(&guest.actor, ActorId(process), message, Duration::from_millis(delay))?)
}

/// # Returns
/// 1: it was pending and is not any more; 0: it was not.
fn cancel_timer(caller: &mut Caller<'_, Guest>, timer: u64) -> Result<u32> {
    Ok(u32::from(caller.data().node.system.cancel_timer(timer)))
}
