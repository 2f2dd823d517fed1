//! Memory of the host's own objects: the C library's allocator, and mimalloc where many actors are spawned.
//!
//! An actor's objects are made by its spawner's thread and freed by the one that it ran on last. In glibc that takes the lock
//! of the first thread's arena, and threads that spawn and bury wait for each other; mimalloc hands such objects back without
//! one. But it spreads what it gives out over pages for each size and thread, a megabyte for a process that is idle, which is
//! what most pods are. So a process begins with glibc, and goes over when it is to have many actors (ADR 18).

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use mimalloc::MiMalloc;

/// Set once, and then for good.
static MANY_ACTORS: AtomicBool = AtomicBool::new(false);

/// The allocator of a program that runs actors, to be its `global_allocator`.
pub struct Allocator;

impl Allocator {
    /// From now on memory is given out for many actors. What was given out before stays where it is.
    pub fn serve_many_actors() {
        MANY_ACTORS.store(true, Ordering::Relaxed);
    }

    fn serves_many() -> bool {
        MANY_ACTORS.load(Ordering::Relaxed)
    }
}

/// Whether mimalloc gave it out. A thread that frees what another one allocated has seen the flag by what handed it over.
#[expect(unsafe_code, reason = "a function of mimalloc")]
fn is_mimallocs(block: *mut u8) -> bool {
    // SAFETY: it looks the address up, and takes any.
    Allocator::serves_many() && unsafe { libmimalloc_sys::mi_is_in_heap_region(block.cast()) }
}

// SAFETY: each block is freed and moved by the allocator that gave it out.
#[expect(unsafe_code, reason = "what an allocator is")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe { if Self::serves_many() { MiMalloc.alloc(layout) } else { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe { if Self::serves_many() { MiMalloc.alloc_zeroed(layout) } else { System.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { if is_mimallocs(block) { MiMalloc.dealloc(block, layout) } else { System.dealloc(block, layout) } }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe { if is_mimallocs(block) { MiMalloc.realloc(block, layout, size) } else { System.realloc(block, layout, size) } }
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "it calls the allocator as a program does")]
mod tests {
    use super::*;

    #[test]
    fn what_either_gave_out_is_moved_and_freed_by_that_one() {
        let layout = Layout::from_size_align(100, 64).unwrap();
        let block = |first: u8| {
            // SAFETY: of that size, and written before it is read.
            unsafe {
                let block = Allocator.alloc(layout);
                block.write(first);
                block
            }
        };
        let early = block(1);
        Allocator::serve_many_actors();
        let late = block(2);
        assert_eq!((is_mimallocs(early), is_mimallocs(late)), (false, true));
        for (block, first) in [(early, 1), (late, 2)] {
            // SAFETY: given out with that layout, and freed once.
            unsafe {
                let moved = Allocator.realloc(block, layout, 10_000);
                assert_eq!((moved.read(), is_mimallocs(moved)), (first, first == 2));
                Allocator.dealloc(moved, Layout::from_size_align(10_000, 64).unwrap());
            }
        }
        // SAFETY: a thousand bytes that it says are zero.
        unsafe {
            let zeroed = Layout::from_size_align(1_000, 8).unwrap();
            let block = Allocator.alloc_zeroed(zeroed);
            assert!(std::slice::from_raw_parts(block, 1_000).iter().all(|byte| *byte == 0));
            Allocator.dealloc(block, zeroed);
        }
    }
}
