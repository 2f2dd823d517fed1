//! Many equal slots in one mapping.
//!
//! Linux gives a process 65,530 mappings (`vm.max_map_count`) and 128 TiB of address space, but memory only where it is
//! written. So what an actor needs is a slot of a mapping that all share, which takes none of its own.

use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Address space for slots. Reserved, not used.
pub(super) struct Arena {
    base: NonNull<u8>,
    slot_bytes: usize,
    slots: u32,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    /// This one and those behind it were never used.
    first_unused: u32,
    /// Given back, the last one on top: its page tables are still there.
    given_back: Vec<u32>,
}

/// One slot, given back when it is dropped. Whoever used it discards what is in it before.
pub(super) struct Slot {
    arena: Arc<Arena>,
    index: u32,
    /// Whether nobody had it before.
    pub(super) is_first_use: bool,
}

// SAFETY: the mapping belongs to the arena; what lies in a slot is only reached by who holds that slot.
#[expect(unsafe_code, reason = "a raw pointer to memory of its own")]
unsafe impl Send for Arena {}
// SAFETY: as above; the list of free slots has a lock.
#[expect(unsafe_code, reason = "a raw pointer to memory of its own")]
unsafe impl Sync for Arena {}

impl Arena {
    /// Reserves address space for so many slots.
    ///
    /// # Errors
    /// The system gives no such amount: `ulimit -v`, or `vm.overcommit_memory=2`.
    #[expect(unsafe_code, reason = "an anonymous mapping whose size is known at run time")]
    pub(super) fn reserve(slot_bytes: usize, slots: u32) -> io::Result<Arc<Self>> {
        let bytes = slot_bytes.checked_mul(slots as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no other.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // Small actors would get 2 MiB each. A kernel without huge pages refuses the wish, which is as good.
        // SAFETY: advice about the mapping made above.
        unsafe { libc::madvise(base.as_ptr().cast(), bytes, libc::MADV_NOHUGEPAGE) };
        Ok(Arc::new(Self { base, slot_bytes, slots, free: Mutex::default() }))
    }

    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// A slot full of zeros; `None`: all are in use.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let mut free = self.lock();
        if let Some(index) = free.given_back.pop() {
            return Some(Slot { arena: Arc::clone(self), index, is_first_use: false });
        }
        if free.first_unused == self.slots {
            return None;
        }
        let index = free.first_unused;
        free.first_unused += 1;
        Some(Slot { arena: Arc::clone(self), index, is_first_use: true })
    }

    /// Slots in use.
    pub(super) fn used(&self) -> usize {
        let free = self.lock();
        free.first_unused as usize - free.given_back.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arena {
    #[expect(unsafe_code, reason = "the mapping was made by `reserve`")]
    fn drop(&mut self) {
        // SAFETY: the arena's own mapping; each slot holds the arena, so none is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.slot_bytes * self.slots as usize) };
    }
}

impl Slot {
    /// Its first byte.
    #[expect(unsafe_code, reason = "slots are parts of one mapping")]
    pub(super) fn start(&self) -> NonNull<u8> {
        // SAFETY: an index is below the number of slots, so this is within the mapping.
        unsafe { self.arena.base.add(self.index as usize * self.arena.slot_bytes) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.arena.slot_bytes
    }

    /// Makes bytes of it zero and gives their memory back. `from` and `bytes` are whole pages.
    ///
    /// # Safety
    /// They are within the slot, and nobody has a reference to them.
    #[expect(unsafe_code, reason = "memory that only raw pointers reach")]
    pub(super) unsafe fn discard(&self, from: usize, bytes: usize) {
        // SAFETY: within the slot, as the caller says; nobody reads it meanwhile. The kernel refuses pages that are
        // locked in memory: they are overwritten, since the next one must not see them.
        unsafe {
            let start = self.start().add(from);
            if libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) != 0 {
                start.write_bytes(0, bytes);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.arena.lock().given_back.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_is_taken_once_and_those_that_were_given_back_come_first() {
        let arena = Arena::reserve(8192, 2).unwrap();
        let (first, second) = (arena.take().unwrap(), arena.take().unwrap());
        assert!(arena.take().is_none(), "there are two");
        assert_eq!(second.start().addr().get() - first.start().addr().get(), 8192);
        let address = first.start();
        drop(first);
        assert_eq!(arena.used(), 1);
        let again = arena.take().unwrap();
        assert_eq!((again.start(), again.is_first_use), (address, false));
    }

    #[test]
    #[expect(unsafe_code, reason = "slots are raw memory")]
    fn what_was_discarded_is_zero() {
        let arena = Arena::reserve(8192, 1).unwrap();
        let slot = arena.take().unwrap();
        // SAFETY: the slot has 8,192 bytes, which nobody else reaches.
        unsafe {
            slot.start().write_bytes(0xa5, 8192);
            slot.discard(4096, 4096);
            assert_eq!((slot.start().add(4095).read(), slot.start().add(4096).read()), (0xa5, 0));
        }
    }

    #[test]
    fn more_than_the_address_space_is_an_error() {
        assert!(Arena::reserve(1 << 40, 1 << 20).is_err());
        assert!(Arena::reserve(usize::MAX, 2).is_err());
    }
}
