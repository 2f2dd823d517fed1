//! What this process holds, by the allocator of `perigee`.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use perigee_runtime::Allocator;

/// Blocks are counted by their sizes, in steps of so many bytes.
const STEP: usize = 16;
/// The last kind is all that are larger.
const KINDS: usize = 1_025;

/// That allocator, which tells nobody what it has given out, with a count of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: [AtomicIsize; KINDS] = [const { AtomicIsize::new(0) }; KINDS];

fn blocks(size: usize) -> &'static AtomicIsize {
    &BLOCKS[size.div_ceil(STEP).min(KINDS - 1)]
}

fn given_out(size: usize) {
    BYTES.fetch_add(size, Ordering::Relaxed);
    blocks(size).fetch_add(1, Ordering::Relaxed);
}

fn taken_back(size: usize) {
    BYTES.fetch_sub(size, Ordering::Relaxed);
    blocks(size).fetch_sub(1, Ordering::Relaxed);
}

// SAFETY: all is done by the allocator within; numbers change nothing.
#[expect(unsafe_code, reason = "what an allocator is")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        given_out(layout.size());
        // SAFETY: as the caller's.
        unsafe { Allocator.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        given_out(layout.size());
        // SAFETY: as the caller's.
        unsafe { Allocator.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        taken_back(layout.size());
        // SAFETY: as the caller's.
        unsafe { Allocator.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        given_out(size);
        taken_back(layout.size());
        // SAFETY: as the caller's.
        unsafe { Allocator.realloc(block, layout, size) }
    }
}

/// What was given out: fragmentation does not count, a leak does.
#[derive(Default)]
pub(crate) struct Allocated {
    /// Bytes, to Rust.
    rust: usize,
    /// Bytes, to C, which is SQLite. What glibc gave to Rust at the start counts here as well.
    c: usize,
    blocks: Vec<isize>,
}

impl Allocated {
    #[expect(unsafe_code, reason = "neither std nor nix asks the allocator")]
    pub(crate) fn now() -> Self {
        // SAFETY: both only look at, or tidy, the allocator's own lists.
        let info = unsafe {
            libc::malloc_trim(0);
            libc::mallinfo2()
        };
        let blocks = BLOCKS.iter().map(|blocks| blocks.load(Ordering::Relaxed)).collect();
        Self { rust: BYTES.load(Ordering::Relaxed), c: info.uordblks + info.hblkhd, blocks }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rust + self.c
    }

    /// What there is more of than in `before`, the most bytes first.
    pub(crate) fn more_than(&self, before: &Self) -> String {
        let more = self.blocks.iter().zip(&before.blocks).map(|(now, before)| now - before).enumerate();
        let mut more: Vec<_> = more.filter(|(_, blocks)| *blocks > 0).collect();
        more.sort_by_key(|(kind, blocks)| std::cmp::Reverse(kind * blocks.unsigned_abs()));
        let size = |kind: usize| if kind < KINDS - 1 { format!("{}", kind * STEP) } else { format!("over {}", kind * STEP) };
        more.iter().take(8).map(|(kind, blocks)| format!("\n{blocks} blocks more of up to {} bytes", size(*kind))).collect()
    }
}

impl fmt::Display for Allocated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes ({} of C)", self.bytes(), self.c)
    }
}

/// Bytes of the process that are in memory, once what is free was given back.
pub(crate) fn resident() -> usize {
    Allocator::purge(true);
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
