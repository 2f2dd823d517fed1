//! `lunatic::error`: the texts of errors that other functions returned.

use wasmtime::{Caller, Linker, Result};

use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes_mut, split};

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::error", {
        sync string_size(error: u64) -> u32;
        sync to_string(error: u64, out: u32) -> ();
        sync drop(error: u64) -> ();
    });
    Ok(())
}

/// # Returns
/// Bytes of the error's text.
/// # Traps
/// Unknown error.
fn string_size(caller: &mut Caller<'_, Guest>, error: u64) -> Result<u32> {
    Ok(u32::try_from(caller.data().errors.get(error)?.len())?)
}

/// Writes the error's text at `out`.
/// # Traps
/// Unknown error; too little memory at `out`.
fn to_string(caller: &mut Caller<'_, Guest>, error: u64, out: u32) -> Result<()> {
    let (memory, guest) = split(caller)?;
    let text = guest.errors.get(error)?;
    bytes_mut(memory, out, u32::try_from(text.len())?)?.copy_from_slice(text.as_bytes());
    Ok(())
}

/// Forgets an error.
/// # Traps
/// Unknown error.
fn drop(caller: &mut Caller<'_, Guest>, error: u64) -> Result<()> {
    let guest = caller.data_mut();
    let text = guest.errors.remove(error)?;
    guest.actor.release_memory(super::error_cost(&text));
    Ok(())
}
