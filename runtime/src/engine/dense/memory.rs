//! Linear memories in slots of arenas, of which there is one for each power of two.
//!
//! A memory that outgrows its slot moves to one of the next size that holds it. Code is compiled for that: with checks of
//! bounds, and without the belief that a memory stays where it is.

use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

use super::PAGE;
use super::arena::{Arena, Slot};

/// The smallest slot: a page of WebAssembly, and one to grow by.
const SMALLEST: usize = 128 << 10;
/// The largest: all that 32-bit WebAssembly can address.
const LARGEST: usize = 4 << 30;
/// Sizes from one to the other.
const SIZES: usize = (LARGEST / SMALLEST).trailing_zeros() as usize + 1;
/// Address space for all slots of one size. That of all sizes, and of the pool, is well below the 128 TiB of a process.
const ARENA_BYTES: usize = 2 << 40;

/// The arenas of one engine, each reserved when the first memory of its size comes.
pub(super) struct Memories {
    arenas: [OnceLock<Result<Arc<Arena>, String>>; SIZES],
    /// Slots that an app can make use of.
    slots: u32,
    unclean: Arc<Notify>,
}

impl Memories {
    pub(super) fn new(slots: u32, unclean: &Arc<Notify>) -> Self {
        Self { arenas: std::array::from_fn(|_| OnceLock::new()), slots, unclean: Arc::clone(unclean) }
    }

    /// A slot for a memory of that size.
    fn take(&self, bytes: usize) -> Result<Slot, String> {
        let slot_bytes = bytes.max(SMALLEST).checked_next_power_of_two().filter(|bytes| *bytes <= LARGEST);
        let slot_bytes = slot_bytes.ok_or_else(|| format!("a memory of {bytes} bytes: the most is {LARGEST}"))?;
        let arena = &self.arenas[(slot_bytes / SMALLEST).trailing_zeros() as usize];
        let arena = arena.get_or_init(|| {
            let slots = u32::try_from(ARENA_BYTES / slot_bytes).unwrap_or(u32::MAX).min(self.slots);
            Arena::reserve(slot_bytes, slots, &self.unclean)
                .map_err(|error| format!("no address space for {slots} memories of {} KiB: {error}", slot_bytes >> 10))
        });
        arena
            .as_ref()
            .map_err(Clone::clone)?
            .take()
            .ok_or_else(|| format!("all places for memories of {} KiB are taken", slot_bytes >> 10))
    }

    /// The arenas that there are.
    pub(super) fn arenas(&self) -> impl Iterator<Item = &Arc<Arena>> {
        self.arenas.iter().filter_map(|arena| arena.get()?.as_ref().ok())
    }
}

/// [`MemoryCreator`] of an engine.
pub(super) struct Creator(pub(super) Arc<Memories>);

// SAFETY: `new_memory` returns memory of the size that was asked for, full of zeros; what its code needs to be guarded is
// nothing, by the engine's configuration.
#[expect(unsafe_code, reason = "Wasmtime cannot check what a memory is")]
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        _: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if guard != 0 {
            return Err(format!("defect: code that relies on {guard} bytes of guard"));
        }
        let slot = self.0.take(minimum)?;
        Ok(Box::new(Memory { memories: Arc::clone(&self.0), slot, bytes: minimum }))
    }
}

/// One linear memory.
struct Memory {
    memories: Arc<Memories>,
    slot: Slot,
    bytes: usize,
}

impl Memory {
    /// Bytes of whole pages of the system.
    fn pages(&self) -> usize {
        self.bytes.next_multiple_of(PAGE)
    }

    /// Moves to a slot for so many bytes.
    #[expect(unsafe_code, reason = "memory of guests is reached by raw pointers")]
    fn move_to(&mut self, bytes: usize) -> Result<(), String> {
        let slot = self.memories.take(bytes)?;
        // Pages that were never written have no memory, and get none in the new slot either.
        for at in (0..self.pages()).step_by(PAGE) {
            // SAFETY: both are pages within slots that only this memory has, since its guest is suspended in `memory.grow`;
            // a larger slot has every page that the smaller one has.
            unsafe {
                let (from, to) = (self.slot.start().add(at), slot.start().add(at));
                if !is_zero(from) {
                    to.copy_from_nonoverlapping(from, PAGE);
                }
            }
        }
        self.slot.written = 0..self.pages();
        self.slot = slot;
        Ok(())
    }
}

/// Whether a page holds nothing but zeros.
///
/// # Safety
/// It is a page that can be read, and nobody writes to it.
#[expect(unsafe_code, reason = "memory of guests is reached by raw pointers")]
unsafe fn is_zero(page: NonNull<u8>) -> bool {
    // SAFETY: as the caller says; a page is aligned for any number.
    let words = unsafe { page.cast::<[u64; PAGE / 8]>().as_ref() };
    words.iter().all(|word| *word == 0)
}

// SAFETY: the bytes from `as_ptr` on can be read and written, up to `byte_capacity`, for as long as the memory exists; they
// move in `grow_to` alone.
#[expect(unsafe_code, reason = "Wasmtime cannot check what a memory is")]
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.slot.bytes()
    }

    fn grow_to(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes > self.slot.bytes() {
            self.move_to(bytes).map_err(wasmtime::Error::msg)?;
        }
        self.bytes = bytes;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.slot.start().as_ptr()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.slot.written = 0..self.pages();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(memories: &Arc<Memories>, bytes: usize) -> Memory {
        Memory { memories: Arc::clone(memories), slot: memories.take(bytes).unwrap(), bytes }
    }

    #[test]
    #[expect(unsafe_code, reason = "memory of guests is reached by raw pointers")]
    fn a_memory_that_outgrows_its_slot_moves_with_what_was_written() {
        let memories = Arc::new(Memories::new(1, &Arc::default()));
        let mut grown = memory(&memories, 64 << 10);
        let before = grown.as_ptr();
        // SAFETY: both are within the memory's 64 KiB.
        unsafe {
            before.add(5).write(7);
            before.add(65_535).write(9);
        }
        grown.grow_to(128 << 10).unwrap();
        assert_eq!(grown.as_ptr(), before, "its slot had room");
        grown.grow_to(3 << 20).unwrap();
        assert_ne!(grown.as_ptr(), before);
        assert_eq!(grown.byte_capacity(), 4 << 20);
        // SAFETY: all are within 3 MiB.
        unsafe {
            let at = |offset| grown.as_ptr().add(offset).read();
            assert_eq!((at(5), at(65_535), at(65_536), at((3 << 20) - 1)), (7, 9, 0, 0));
        }
        let next = memory(&memories, 64 << 10);
        assert_eq!(next.as_ptr(), before, "its first slot was given back");
        // SAFETY: within 64 KiB.
        assert_eq!(unsafe { (before.add(5).read(), before.add(65_535).read()) }, (0, 0));
        drop((grown, next));
        assert_eq!(memories.arenas().map(|arena| arena.used()).sum::<usize>(), 0);
    }

    #[test]
    fn what_has_no_place_is_refused_and_nothing_is_lost() {
        let memories = Arc::new(Memories::new(1, &Arc::default()));
        let mut first = memory(&memories, 64 << 10);
        assert!(memories.take(1).err().unwrap().contains("128 KiB are taken"));
        let second = memory(&memories, 1 << 20);
        assert!(first.grow_to(1 << 20).unwrap_err().to_string().contains("1024 KiB are taken"));
        assert_eq!(first.byte_size(), 64 << 10);
        drop(second);
        first.grow_to(1 << 20).unwrap();
        assert!(first.grow_to(LARGEST + 1).is_err());
        assert!(memories.take(usize::MAX).is_err());
    }
}
