//! SQLite's allocator. Each allocation is on the account of the actor that the thread works for; without room there, it
//! fails, which SQLite passes on as `SQLITE_NOMEM`. So it does where the stack is used up: every recursion allocates.
//!
//! It comes from the C library whatever the process has else (`allocator.rs`): what an idle thread of databases allocated is free
//! as soon as another one closes the connection.
#![expect(unsafe_code, reason = "SQLite calls an allocator by C functions over raw pointers")]

use std::alloc::{GlobalAlloc as _, Layout, System};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use libsqlite3_sys as ffi;

use super::context::Context;
use crate::actor::Actor;

/// What lies before each allocation.
#[repr(C, align(16))]
struct Header {
    /// From [`Arc::into_raw`]; null: nobody.
    payer: *const Actor,
    /// Bytes behind the header.
    bytes: usize,
}

const HEADER_BYTES: usize = size_of::<Header>();
const ALIGNMENT: usize = align_of::<Header>();

pub(super) const METHODS: ffi::sqlite3_mem_methods = ffi::sqlite3_mem_methods {
    xMalloc: Some(malloc),
    xFree: Some(free),
    xRealloc: Some(grow_or_shrink),
    xSize: Some(size),
    xRoundup: Some(round_up),
    xInit: Some(start),
    xShutdown: Some(stop),
    pAppData: ptr::null_mut(),
};

/// Size and layout of an allocation with its header. `None`: there is none of that size.
fn layout(bytes: c_int) -> Option<(usize, Layout)> {
    let bytes = usize::try_from(bytes).ok()?;
    Some((bytes, Layout::from_size_align(bytes.checked_add(HEADER_BYTES)?, ALIGNMENT).ok()?))
}

fn cost(bytes: usize) -> u64 {
    u64::try_from(bytes.saturating_add(HEADER_BYTES)).unwrap_or(u64::MAX)
}

unsafe extern "C" fn malloc(bytes: c_int) -> *mut c_void {
    let Some((bytes, layout)) = layout(bytes).filter(|_| !Context::is_too_deep()) else { return ptr::null_mut() };
    let payer = Context::current().map(|context| Arc::clone(&context.actor));
    if payer.as_ref().is_some_and(|payer| payer.charge_memory(cost(bytes)).is_err()) {
        return ptr::null_mut();
    }
    // SAFETY: the layout has the size of a header at least.
    let start = unsafe { System.alloc(layout) }.cast::<Header>();
    if start.is_null() {
        if let Some(payer) = payer {
            payer.release_memory(cost(bytes));
        }
        return ptr::null_mut();
    }
    // SAFETY: `start` is aligned for a header, and has room for one and `bytes` behind it.
    unsafe {
        start.write(Header { payer: payer.map_or(ptr::null(), Arc::into_raw), bytes });
        start.add(1).cast()
    }
}

/// The header of an allocation.
///
/// # Safety
/// `allocation` comes from [`malloc`] or [`grow_or_shrink`], and is not freed.
unsafe fn header(allocation: *mut c_void) -> *mut Header {
    // SAFETY: each allocation lies behind its header.
    unsafe { allocation.cast::<Header>().sub(1) }
}

unsafe extern "C" fn free(allocation: *mut c_void) {
    if allocation.is_null() {
        return;
    }
    // SAFETY: SQLite frees what it got from here, once; so the header is there, and its layout was that of the allocation.
    unsafe {
        let start = header(allocation);
        let Header { payer, bytes } = start.read();
        if !payer.is_null() {
            Arc::from_raw(payer).release_memory(cost(bytes));
        }
        System.dealloc(start.cast(), Layout::from_size_align_unchecked(bytes + HEADER_BYTES, ALIGNMENT));
    }
}

unsafe extern "C" fn grow_or_shrink(allocation: *mut c_void, bytes: c_int) -> *mut c_void {
    let Some((bytes, layout)) = layout(bytes) else { return ptr::null_mut() };
    // SAFETY: SQLite passes what it got from here and has not freed; it never passes null. The payer of the header lives as
    // long as the header counts as one of its owners.
    unsafe {
        let start = header(allocation);
        let Header { payer, bytes: before } = start.read();
        let (added, freed) = (bytes.saturating_sub(before), before.saturating_sub(bytes));
        let payer = payer.as_ref();
        if payer.is_some_and(|payer| payer.charge_memory(u64::try_from(added).unwrap_or(u64::MAX)).is_err()) {
            return ptr::null_mut();
        }
        let old = Layout::from_size_align_unchecked(before + HEADER_BYTES, ALIGNMENT);
        let moved = System.realloc(start.cast(), old, layout.size()).cast::<Header>();
        let given_back = if moved.is_null() { added } else { freed };
        if let Some(payer) = payer {
            payer.release_memory(u64::try_from(given_back).unwrap_or(u64::MAX));
        }
        if moved.is_null() {
            return ptr::null_mut();
        }
        (*moved).bytes = bytes;
        moved.add(1).cast()
    }
}

unsafe extern "C" fn size(allocation: *mut c_void) -> c_int {
    if allocation.is_null() {
        return 0;
    }
    // SAFETY: SQLite passes what it got from here and has not freed.
    let bytes = unsafe { (*header(allocation)).bytes };
    c_int::try_from(bytes).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
    bytes.checked_add(7).map_or(bytes, |bytes| bytes & !7)
}

unsafe extern "C" fn start(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn stop(_: *mut c_void) {}
