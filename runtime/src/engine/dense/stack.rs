//! Stacks in slots of one arena. The lowest page of each is a guard.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use wasmtime::{StackCreator, StackMemory};

use super::GUARD_BYTES;
use super::arena::{Arena, Slot};

/// `MADV_GUARD_INSTALL` of Linux 6.13: pages that must not be touched, without a mapping of their own.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// [`StackCreator`] of an engine.
pub(super) struct Stacks(pub(super) Arc<Arena>);

// SAFETY: a stack is memory of the size that was asked for, full of zeros, aligned to a page, with a guard below it.
#[expect(unsafe_code, reason = "Wasmtime cannot check what a stack is")]
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, _: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        wasmtime::ensure!(GUARD_BYTES + size <= self.0.slot_bytes(), "defect: a stack of {size} bytes is too large for its slot");
        let Some(mut slot) = self.0.take() else { wasmtime::bail!("all places for stacks are taken") };
        slot.written = GUARD_BYTES..slot.bytes();
        if slot.is_first_use {
            guard(&slot)?;
        }
        Ok(Box::new(Stack(slot)))
    }
}

/// Guards the lowest page. It stays guarded when the rest of the slot is discarded.
#[expect(unsafe_code, reason = "neither std nor nix knows this advice")]
fn guard(slot: &Slot) -> io::Result<()> {
    let page = slot.start().as_ptr().cast();
    // SAFETY: a page of this slot, which nobody uses yet.
    let installed = unsafe { libc::madvise(page, GUARD_BYTES, MADV_GUARD_INSTALL) == 0 };
    // An older kernel takes a mapping for it, of which there are too few for very many stacks.
    // SAFETY: as above.
    if installed || unsafe { libc::mprotect(page, GUARD_BYTES, libc::PROT_NONE) == 0 } {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

struct Stack(Slot);

// SAFETY: the range above the guard can be read and written for as long as the stack exists, and does not move.
#[expect(unsafe_code, reason = "Wasmtime cannot check what a stack is")]
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.range().end)
    }

    fn range(&self) -> Range<usize> {
        let start = self.0.start().as_ptr().expose_provenance();
        start + GUARD_BYTES..start + self.0.bytes()
    }

    fn guard_range(&self) -> Range<*mut u8> {
        let start = self.0.start().as_ptr();
        start..start.wrapping_add(GUARD_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "memory that only raw pointers reach")]
    fn a_stack_is_usable_to_its_guard_and_new_for_the_next_one() {
        let stacks = Stacks(Arena::reserve(64 << 10, 1, &Arc::default()).unwrap());
        for _ in 0..2 {
            let stack = stacks.new_stack(60 << 10, false).unwrap();
            let lowest = stack.guard_range().end;
            // SAFETY: the whole range above the guard is the stack's.
            unsafe {
                assert_eq!((lowest.read(), stack.top().sub(1).read()), (0, 0));
                lowest.write(1);
                stack.top().sub(1).write(1);
            }
            assert!(stacks.new_stack(60 << 10, false).is_err(), "there is one");
        }
        assert!(stacks.new_stack(64 << 10, false).is_err(), "no room for its guard");
    }

    /// Touching it would end the process: so the kernel is asked to.
    #[test]
    #[expect(unsafe_code, reason = "memory that only raw pointers reach")]
    fn the_guard_cannot_be_touched() {
        let stacks = Stacks(Arena::reserve(64 << 10, 1, &Arc::default()).unwrap());
        // It stays, when what is above it is discarded for the next one.
        drop(stacks.new_stack(60 << 10, false).unwrap());
        let stack = stacks.new_stack(60 << 10, false).unwrap();
        let page = stack.guard_range().start;
        let (read, write) = nix::unistd::pipe().unwrap();
        // The kernel does not read from a page that must not be touched.
        // SAFETY: the call only tries to read one byte there.
        let written = unsafe { libc::write(std::os::fd::AsRawFd::as_raw_fd(&write), page.cast(), 1) };
        assert_eq!((written, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EFAULT)));
        drop((read, write));
    }
}
