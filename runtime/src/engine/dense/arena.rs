//! Many equal slots in one mapping.
//!
//! Linux gives a process 65,530 mappings (`vm.max_map_count`) and 128 TiB of address space, but memory only where it is
//! written. So what an actor needs is a slot of a mapping that all share, which takes none of its own.
//!
//! What is in a slot that was given back is discarded before the next one has it, but not at once: for many slots together
//! (`discard.rs`).

use std::io;
use std::mem;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::discard::{self, Pages};

/// As much memory may wait to be discarded, in bytes. A second later it is in any case (`sweep.rs`).
const MOST_BYTES: usize = 16 << 20;

/// Address space for slots. Reserved, not used.
pub(super) struct Arena {
    base: NonNull<u8>,
    slot_bytes: usize,
    slots: u32,
    free: Mutex<Free>,
    /// Held by who cleans.
    cleaning: Mutex<()>,
    /// Told when there is something to clean.
    unclean: Arc<Notify>,
}

#[derive(Default)]
struct Free {
    /// This one and those behind it were never used.
    first_unused: u32,
    /// Given back and full of zeros, the last one on top: its page tables are still there.
    clean: Vec<u32>,
    /// Given back as they were left.
    unclean: Vec<Unclean>,
    /// What may have been written in these, in bytes.
    unclean_bytes: usize,
    /// Those that somebody cleans.
    in_cleaning: usize,
}

struct Unclean {
    index: u32,
    written: Range<usize>,
}

/// One slot, given back when it is dropped.
pub(super) struct Slot {
    arena: Arc<Arena>,
    index: u32,
    /// Whether nobody had it before.
    pub(super) is_first_use: bool,
    /// Where whoever has it may have written, in whole pages.
    pub(super) written: Range<usize>,
}

// SAFETY: the mapping belongs to the arena; what lies in a slot is only reached by who holds that slot.
#[expect(unsafe_code, reason = "a raw pointer to memory of its own")]
unsafe impl Send for Arena {}
// SAFETY: as above; the list of free slots has a lock.
#[expect(unsafe_code, reason = "a raw pointer to memory of its own")]
unsafe impl Sync for Arena {}

impl Arena {
    /// Reserves address space for so many slots. Who waits at `unclean` hears of those that are given back.
    ///
    /// # Errors
    /// The system gives no such amount: `ulimit -v`, or `vm.overcommit_memory=2`.
    #[expect(unsafe_code, reason = "an anonymous mapping whose size is known at run time")]
    pub(super) fn reserve(slot_bytes: usize, slots: u32, unclean: &Arc<Notify>) -> io::Result<Arc<Self>> {
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
        let unclean = Arc::clone(unclean);
        Ok(Arc::new(Self { base, slot_bytes, slots, free: Mutex::default(), cleaning: Mutex::default(), unclean }))
    }

    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// A slot full of zeros; `None`: all are in use.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let slot = |index, is_first_use| Slot { arena: Arc::clone(self), index, is_first_use, written: 0..self.slot_bytes };
        loop {
            let mut free = self.lock();
            if let Some(index) = free.clean.pop() {
                return Some(slot(index, false));
            }
            if free.first_unused < self.slots {
                free.first_unused += 1;
                return Some(slot(free.first_unused - 1, true));
            }
            if free.unclean.is_empty() && free.in_cleaning == 0 {
                return None;
            }
            drop(free);
            self.clean();
        }
    }

    /// Slots in use.
    pub(super) fn used(&self) -> usize {
        let free = self.lock();
        free.first_unused as usize - free.clean.len() - free.unclean.len() - free.in_cleaning
    }

    /// Discards what is in the slots that were given back, behind whoever does so already.
    pub(super) fn clean(&self) {
        let turn = self.cleaning.lock().unwrap_or_else(PoisonError::into_inner);
        self.clean_in(turn);
    }

    #[expect(unsafe_code, reason = "memory that only raw pointers reach")]
    fn clean_in(&self, turn: MutexGuard<'_, ()>) {
        let unclean = {
            let mut free = self.lock();
            free.unclean_bytes = 0;
            free.in_cleaning = free.unclean.len();
            mem::take(&mut free.unclean)
        };
        let pages = unclean.iter().map(|Unclean { index, written }| Pages {
            // SAFETY: an index is below the number of slots, and what was written is within one of them.
            start: unsafe { self.base.add(*index as usize * self.slot_bytes + written.start) },
            bytes: written.len(),
        });
        // SAFETY: nobody has these slots.
        unsafe { discard::discard(&pages.collect::<Vec<_>>()) };
        let mut free = self.lock();
        free.in_cleaning = 0;
        free.clean.extend(unclean.iter().map(|slot| slot.index));
        drop((free, turn));
    }

    fn give_back(&self, unclean: Unclean) {
        let (is_first, is_due) = {
            let mut free = self.lock();
            free.unclean_bytes += unclean.written.len();
            free.unclean.push(unclean);
            (free.unclean.len() == 1, free.unclean.len() >= discard::together() || free.unclean_bytes >= MOST_BYTES)
        };
        if is_first {
            self.unclean.notify_one();
        }
        // If somebody cleans just now, it is due the next time.
        if let (true, Ok(turn)) = (is_due, self.cleaning.try_lock()) {
            self.clean_in(turn);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
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
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.arena.give_back(Unclean { index: self.index, written: mem::take(&mut self.written) });
    }
}

#[cfg(test)]
mod tests {
    use super::discard::TOGETHER;
    use super::*;

    #[test]
    fn each_slot_is_taken_once_and_those_that_were_given_back_come_first() {
        let arena = Arena::reserve(8192, 2, &Arc::default()).unwrap();
        let (first, second) = (arena.take().unwrap(), arena.take().unwrap());
        assert!(arena.take().is_none(), "there are two");
        assert_eq!(second.start().addr().get() - first.start().addr().get(), 8192);
        let address = first.start();
        drop(first);
        assert_eq!(arena.used(), 1);
        let again = arena.take().unwrap();
        assert_eq!((again.start(), again.is_first_use), (address, false));
    }

    #[expect(unsafe_code, reason = "slots are raw memory")]
    fn fill(slot: &Slot) {
        // SAFETY: the slot has so many bytes, which nobody else reaches.
        unsafe { slot.start().write_bytes(0xa5, slot.bytes()) };
    }

    #[expect(unsafe_code, reason = "slots are raw memory")]
    fn is_zero(slot: &Slot) -> bool {
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts(slot.start().as_ptr(), slot.bytes()) };
        bytes.iter().all(|byte| *byte == 0)
    }

    fn resident(arena: &Arena) -> usize {
        crate::resident::resident_pages(arena.base.as_ptr().expose_provenance(), arena.slot_bytes * arena.slots as usize).unwrap()
    }

    #[test]
    fn whoever_gets_a_slot_again_finds_nothing_of_the_one_before() {
        let slots = 3 * u32::try_from(TOGETHER).unwrap();
        let arena = Arena::reserve(8192, slots, &Arc::default()).unwrap();
        let mut all: Vec<_> = (0..slots).map(|_| arena.take().unwrap()).collect();
        for _ in 0..10 {
            all.iter().for_each(fill);
            // Some that lie side by side, and some that do not.
            all.retain(|slot| slot.index.is_multiple_of(7));
            assert_eq!(arena.used(), all.len());
            let next = std::iter::from_fn(|| arena.take()).inspect(|slot| assert!(is_zero(slot)));
            let next: Vec<_> = next.collect();
            assert_eq!(next.len() + all.len(), slots as usize);
            all.extend(next);
        }
    }

    #[test]
    fn what_is_given_back_is_discarded_when_it_is_much_or_at_the_next_cleaning() {
        let arena = Arena::reserve(8192, 1_000, &Arc::default()).unwrap();
        let all: Vec<_> = (0..1_000).map(|_| arena.take().unwrap()).inspect(fill).collect();
        assert_eq!(resident(&arena), 2_000);
        drop(all);
        assert!(resident(&arena) < 2 * TOGETHER);
        arena.clean();
        assert_eq!((resident(&arena), arena.used()), (0, 0));
        let large = Arena::reserve(MOST_BYTES, 1, &Arc::default()).unwrap();
        fill(&large.take().unwrap());
        assert_eq!(resident(&large), 0);
    }

    #[test]
    fn threads_that_take_and_give_back_never_lack_a_slot_that_is_free() {
        let arena = Arena::reserve(8192, 4 * 50, &Arc::default()).unwrap();
        let threads = [(); 4].map(|()| {
            let arena = Arc::clone(&arena);
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let own: Vec<_> = (0..50).map(|_| arena.take().expect("one of its fifty")).collect();
                    own.iter().for_each(|slot| assert!(is_zero(slot)));
                    own.iter().for_each(fill);
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(arena.used(), 0);
    }

    #[test]
    fn more_than_the_address_space_is_an_error() {
        assert!(Arena::reserve(1 << 40, 1 << 20, &Arc::default()).is_err());
        assert!(Arena::reserve(usize::MAX, 2, &Arc::default()).is_err());
    }
}
