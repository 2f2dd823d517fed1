//! Memory of the host's own objects: the C library's allocator, and mimalloc where many actors are spawned.
//!
//! An actor's objects are made by its spawner's thread and freed by the one that it ran on last. In glibc that takes the lock
//! of the first thread's arena, and threads that spawn and bury wait for each other; mimalloc hands such objects back without
//! one. But it spreads what it gives out over pages for each size and thread, a megabyte for a process that is idle, which is
//! what most pods are. So a process begins with glibc, and goes over when it is to have many actors (ADR 18).

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mimalloc::MiMalloc;

/// `mi_option_page_max_reclaim` of mimalloc.h: how many pages of blocks of one size a thread may own and still take back another
/// that it had filled, when it frees a block of it. What others free in pages of an idle thread stays there; a page that nobody
/// has goes back with its last block, whoever frees that. Without a bound, the threads of actors took back all pages of a crowd.
const MAX_RECLAIM: (libmimalloc_sys::mi_option_t, libc::c_long) = (41, 4);
/// A number of an option means something only within one version of the library.
const _: () = assert!(libmimalloc_sys::_mi_option_last == 47, "look MAX_RECLAIM up in mimalloc.h");
/// How often free memory goes back, if it was free for a second (`mi_option_purge_delay`). By itself, mimalloc looks when it
/// gives out or gets back a page, and an idle process does neither.
const PURGE: Duration = Duration::from_secs(1);
/// For a thread that sleeps and has pages given back.
const STACK_BYTES: usize = 64 << 10;

/// Address space where mimalloc gives out blocks first, so that two comparisons tell whose a block is. The host's own
/// objects of a million actors take half of it; what does not fit is elsewhere. It refuses twice as much.
const REGION_BYTES: usize = 8 << 30;
/// Blocks of mimalloc's regions begin at multiples of it (`MI_ARENA_SLICE_ALIGN`).
const REGION_ALIGN: usize = 64 << 10;
/// No address of a program is so high, nor within [`REGION_BYTES`] of it.
const NOWHERE: usize = 1 << (usize::BITS - 1);

/// Set once, and then for good.
static MANY_ACTORS: AtomicBool = AtomicBool::new(false);
/// Where that region begins. Set before the former.
static REGION: AtomicUsize = AtomicUsize::new(NOWHERE);

/// The allocator of a program that runs actors, to be its `global_allocator`.
pub struct Allocator;

impl Allocator {
    /// From now on memory is given out for many actors. What was given out before stays where it is.
    pub fn serve_many_actors() {
        static ONCE: Once = Once::new();
        ONCE.call_once(Self::go_over);
    }

    #[expect(unsafe_code, reason = "a function of mimalloc")]
    fn go_over() {
        REGION.store(region().unwrap_or(NOWHERE), Ordering::Relaxed);
        MANY_ACTORS.store(true, Ordering::Release);
        // SAFETY: it stores a number.
        unsafe { libmimalloc_sys::mi_option_set(MAX_RECLAIM.0, MAX_RECLAIM.1) };
        let purge = || {
            loop {
                thread::sleep(PURGE);
                Self::purge(false);
            }
        };
        // Where there can be no thread, memory goes back when others need some.
        drop(thread::Builder::new().name("perigee-memory".to_owned()).stack_size(STACK_BYTES).spawn(purge));
    }

    /// Gives memory back to the kernel that was free for a second, or `at_once` all that is free.
    #[expect(unsafe_code, reason = "functions of mimalloc")]
    pub fn purge(at_once: bool) {
        if Self::serves_many() {
            // SAFETY: the first one makes what the second needs of a thread; that tidies the lists of this thread, and those of
            // free pages, which are everybody's.
            unsafe {
                libmimalloc_sys::mi_thread_init();
                libmimalloc_sys::mi_collect(at_once);
            }
        }
    }

    fn serves_many() -> bool {
        MANY_ACTORS.load(Ordering::Relaxed)
    }
}

/// Whether any block of mimalloc of that size is aligned as wanted: all are by 16, but for those of 8 bytes. Asked for an
/// alignment, it looks for a block that has it, even for this one; that takes four times as long.
fn is_aligned_anyway(layout: Layout) -> bool {
    layout.align() <= 16 && layout.align() <= layout.size()
}

/// Makes the region, whose memory is made when it is written to. `None` where the host refuses so much address space.
#[expect(unsafe_code, reason = "functions of the system and of mimalloc")]
fn region() -> Option<usize> {
    let (read_write, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a new mapping, which nobody else has.
    let mapping = unsafe { libc::mmap(ptr::null_mut(), REGION_BYTES + REGION_ALIGN, read_write, kind, -1, 0) };
    if mapping == libc::MAP_FAILED {
        return None;
    }
    let start = mapping.map_addr(|address| address.next_multiple_of(REGION_ALIGN));
    let mut id = ptr::null_mut();
    // SAFETY: that part of the mapping can be written to and holds zeros; it stays for good, and is mimalloc's from here on.
    let taken =
        unsafe { libmimalloc_sys::mi_manage_os_memory_ex(start, REGION_BYTES, true, false, true, -1, false, &raw mut id) };
    taken.then(|| start.addr())
}

/// Whether mimalloc gave it out. A thread that frees what another one allocated has seen the flag by what handed it over.
fn is_mimallocs(block: *mut u8) -> bool {
    is_in_region(block) || Allocator::serves_many() && is_in_any_region(block)
}

fn is_in_region(block: *mut u8) -> bool {
    block.addr().wrapping_sub(REGION.load(Ordering::Relaxed)) < REGION_BYTES
}

/// The look into mimalloc's map of pages, which takes six times as long.
#[expect(unsafe_code, reason = "a function of mimalloc")]
fn is_in_any_region(block: *mut u8) -> bool {
    // SAFETY: it looks the address up, and takes any.
    unsafe { libmimalloc_sys::mi_is_in_heap_region(block.cast()) }
}

// SAFETY: each block is freed and moved by the allocator that gave it out.
#[expect(unsafe_code, reason = "what an allocator is")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe {
            match Self::serves_many() {
                true if is_aligned_anyway(layout) => libmimalloc_sys::mi_malloc(layout.size()).cast(),
                true => MiMalloc.alloc(layout),
                false => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe {
            match Self::serves_many() {
                true if is_aligned_anyway(layout) => libmimalloc_sys::mi_zalloc(layout.size()).cast(),
                true => MiMalloc.alloc_zeroed(layout),
                false => System.alloc_zeroed(layout),
            }
        }
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
    use std::sync::{LazyLock, mpsc};
    use std::time::Instant;

    use super::*;
    use crate::resident::resident_pages;

    /// Of an actor's objects.
    const LAYOUT: Layout = match Layout::from_size_align(400, 16) {
        Ok(layout) => layout,
        Err(_) => panic!(),
    };
    /// Given out before the process went over; whoever asks for it first has it do so.
    static EARLY: LazyLock<usize> = LazyLock::new(|| {
        let early = block(1);
        Allocator::serve_many_actors();
        early
    });
    const BLOCKS: usize = 100_000;
    const PAGE: usize = 4096;

    /// How many of the pages of these blocks are in memory.
    fn resident(blocks: &[usize]) -> usize {
        let mut pages: Vec<_> = blocks.iter().map(|block| block & !(PAGE - 1)).collect();
        pages.dedup();
        pages.iter().filter_map(|page| resident_pages(*page, PAGE)).sum()
    }

    fn block(first: u8) -> usize {
        // SAFETY: the size is not 0, and what is written is within it.
        unsafe {
            let block = Allocator.alloc(LAYOUT);
            block.write(first);
            block.expose_provenance()
        }
    }

    fn free(block: usize) {
        // SAFETY: of that layout, and freed once.
        unsafe { Allocator.dealloc(std::ptr::with_exposed_provenance_mut(block), LAYOUT) }
    }

    #[test]
    fn what_others_freed_goes_back_while_the_thread_that_allocated_it_is_idle() {
        LazyLock::force(&EARLY);
        let (tell, told) = mpsc::channel();
        let (stay, end) = mpsc::channel::<()>();
        let idle = thread::spawn(move || {
            let blocks: Vec<_> = (0..BLOCKS).map(|_| block(1)).collect();
            // It has a part in the end of each page.
            blocks.iter().step_by(2).for_each(|block| free(*block));
            tell.send(blocks).unwrap();
            end.recv().unwrap_err();
        });
        let blocks: Vec<_> = told.recv().unwrap();
        let before = resident(&blocks);
        blocks.iter().skip(1).step_by(2).for_each(|block| free(*block));
        let until = Instant::now() + 10 * PURGE;
        while resident(&blocks) > before / 10 && Instant::now() < until {
            thread::sleep(PURGE / 10);
        }
        let after = resident(&blocks);
        assert!(before > BLOCKS / (PAGE / 400 + 2) && after <= before / 10, "{before} pages before, {after} after");
        drop(stay);
        idle.join().unwrap();
    }

    #[test]
    fn blocks_are_aligned_as_wanted() {
        LazyLock::force(&EARLY);
        for size in 1..=2_100 {
            for align in [1, 2, 4, 8, 16, 32, 128] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is not 0; they are freed as they were given out.
                unsafe {
                    // Several, for one alone may be aligned by chance.
                    let blocks = [(); 3].map(|()| [Allocator.alloc(layout), Allocator.alloc_zeroed(layout)]);
                    for block in blocks.into_iter().flatten() {
                        assert!(block.addr().is_multiple_of(align), "{layout:?}");
                        Allocator.dealloc(block, layout);
                    }
                }
            }
        }
    }

    #[test]
    fn what_either_gave_out_is_moved_and_freed_by_that_one() {
        let (early, late) = (*EARLY, block(2));
        for (block, first) in [(early, 1), (late, 2)] {
            let block = std::ptr::with_exposed_provenance_mut(block);
            // Either way of telling them: where there is no region, the second is all there is.
            assert_eq!((is_in_region(block), is_in_any_region(block)), (first == 2, first == 2));
            // SAFETY: given out with that layout, and freed once.
            unsafe {
                let moved = Allocator.realloc(block, LAYOUT, 10_000);
                assert_eq!((moved.read(), is_mimallocs(moved)), (first, first == 2));
                Allocator.dealloc(moved, Layout::from_size_align(10_000, 16).unwrap());
            }
        }
    }
}
