//! The only place that touches a guest's memory. Every access is checked; one outside of it ends the guest.

use wasmtime::{AsContextMut, Caller, Result, bail};

use crate::guest::Guest;

/// The guest's memory and the rest of its state, together.
pub(super) fn split<'a>(caller: &'a mut Caller<'_, Guest>) -> Result<(&'a mut [u8], &'a mut Guest)> {
    let Some(memory) = caller.data().memory else {
        bail!("the module exports no memory named \"memory\"");
    };
    Ok(memory.data_and_store_mut(caller.as_context_mut()))
}

/// `len` bytes at `ptr`.
pub(super) fn bytes(memory: &[u8], ptr: u32, len: u32) -> Result<&[u8]> {
    let range = range(ptr, len)?;
    match memory.get(range) {
        Some(bytes) => Ok(bytes),
        None => bail!("{len} bytes at {ptr:#x} are outside of the guest's memory of {} bytes", memory.len()),
    }
}

/// `len` bytes at `ptr`, to write to.
pub(super) fn bytes_mut(memory: &mut [u8], ptr: u32, len: u32) -> Result<&mut [u8]> {
    let (range, size) = (range(ptr, len)?, memory.len());
    match memory.get_mut(range) {
        Some(bytes) => Ok(bytes),
        None => bail!("{len} bytes at {ptr:#x} are outside of the guest's memory of {size} bytes"),
    }
}

/// A text of `len` bytes at `ptr`.
pub(super) fn text(memory: &[u8], ptr: u32, len: u32) -> Result<&str> {
    match std::str::from_utf8(bytes(memory, ptr, len)?) {
        Ok(text) => Ok(text),
        Err(error) => bail!("the text at {ptr:#x} is not UTF-8: {error}"),
    }
}

/// Reads a text into a string of the host.
pub(super) fn owned_text(caller: &mut Caller<'_, Guest>, ptr: u32, len: u32) -> Result<String> {
    let (memory, _) = split(caller)?;
    text(memory, ptr, len).map(str::to_owned)
}

/// Writes a value at `ptr`.
pub(super) fn put<const N: usize>(memory: &mut [u8], ptr: u32, value: [u8; N]) -> Result<()> {
    let len = u32::try_from(N)?;
    bytes_mut(memory, ptr, len)?.copy_from_slice(&value);
    Ok(())
}

/// Writes a 64-bit id at `ptr`.
pub(super) fn put_id(caller: &mut Caller<'_, Guest>, ptr: u32, id: u64) -> Result<()> {
    let (memory, _) = split(caller)?;
    put(memory, ptr, id.to_le_bytes())
}

fn range(ptr: u32, len: u32) -> Result<std::ops::Range<usize>> {
    let start = usize::try_from(ptr)?;
    Ok(start..start.saturating_add(usize::try_from(len)?))
}
