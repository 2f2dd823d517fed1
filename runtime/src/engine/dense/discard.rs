//! Makes pages in many places zero and gives their memory back, with one system call where the kernel has one for that.
//!
//! Each call that takes pages away has every other core that runs the process forget where they were, and waits for that: of
//! 21 us that `madvise` took on a virtual machine of two cores, 20 were for it. `process_madvise` does it once for all.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::PAGE;

/// Whole pages of the system.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    pub(super) start: NonNull<u8>,
    pub(super) bytes: usize,
}

/// From so many places on, more together gain little: of the 21 us of each, 1 is left.
pub(super) const TOGETHER: usize = 64;
/// Whether the kernel is asked to discard many at once: from Linux 6.13 on a process may do that to itself. A filter of system
/// calls may forbid it.
static MANY: AtomicBool = AtomicBool::new(true);

/// How many places are to be discarded together.
pub(super) fn together() -> usize {
    if MANY.load(Ordering::Relaxed) { TOGETHER } else { 1 }
}

/// Makes these pages zero and gives their memory back.
///
/// # Safety
/// Nobody has a reference to them.
#[expect(unsafe_code, reason = "memory that only raw pointers reach")]
pub(super) unsafe fn discard(pages: &[Pages]) {
    for pages in pages.chunks(TOGETHER) {
        // SAFETY: as the caller says.
        if pages.len() > 1 && MANY.load(Ordering::Relaxed) && unsafe { discard_many(pages) } {
            continue;
        }
        // SAFETY: as above.
        pages.iter().for_each(|pages| unsafe { discard_one(*pages) });
    }
}

/// `false`: not all of them were discarded.
///
/// # Safety
/// As above.
#[expect(unsafe_code, reason = "neither std nor rustix knows that the pages are ours")]
unsafe fn discard_many(pages: &[Pages]) -> bool {
    let own = own_process().map_or(-1, AsRawFd::as_raw_fd);
    let vector = pages.iter().map(|pages| libc::iovec { iov_base: pages.start.as_ptr().cast(), iov_len: pages.bytes });
    let vector: Vec<_> = vector.collect();
    let all: usize = pages.iter().map(|pages| pages.bytes).sum();
    // SAFETY: the caller alone has these pages, and the vector outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_process_madvise, own, vector.as_ptr(), vector.len(), libc::MADV_DONTNEED, 0) };
    if done < 0 {
        MANY.store(false, Ordering::Relaxed);
    }
    usize::try_from(done) == Ok(all)
}

/// # Safety
/// As above.
#[expect(unsafe_code, reason = "memory that only raw pointers reach")]
unsafe fn discard_one(Pages { start, bytes }: Pages) {
    // SAFETY: as the caller says.
    let pages = unsafe { NonNull::slice_from_raw_parts(start, bytes).as_mut() };
    if !dont_need(pages) {
        // The next one must not see them.
        pages.fill(0);
    }
}

/// Makes whole pages zero and gives their memory back. `false`: the kernel refuses, as for pages that are locked in memory.
#[expect(unsafe_code, reason = "neither std nor rustix knows that the pages are ours")]
pub(super) fn dont_need(pages: &mut [u8]) -> bool {
    debug_assert!(pages.as_ptr().addr().is_multiple_of(PAGE) && pages.len().is_multiple_of(PAGE), "whole pages");
    // SAFETY: the caller alone has these bytes; whatever the kernel makes of them are bytes. It refuses what does not start
    // with a page, and the system's pages are as large as ours.
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), pages.len(), libc::MADV_DONTNEED) == 0 }
}

/// This process, as the kernel wants it named.
#[expect(unsafe_code, reason = "a call into the kernel")]
fn own_process() -> Option<&'static OwnedFd> {
    static OWN: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let open = || {
        // SAFETY: it touches no memory of ours; what it returns is nobody else's.
        unsafe {
            let number = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0);
            let number = i32::try_from(number).ok().filter(|number| *number >= 0)?;
            Some(OwnedFd::from_raw_fd(number))
        }
    };
    OWN.get_or_init(open).as_ref()
}

#[cfg(test)]
#[expect(unsafe_code, reason = "memory that only raw pointers reach")]
mod tests {
    use super::*;
    use crate::resident::resident_pages;

    /// Pages 1 and 2, and 4, of six that hold something, are discarded; the pages that hold something then.
    fn left(discard: impl Fn(&[Pages])) -> Vec<usize> {
        #[repr(align(4096))]
        struct Memory([u8; 6 * PAGE]);
        let mut memory = Box::new(Memory([7; 6 * PAGE]));
        let start = NonNull::new(memory.0.as_mut_ptr()).unwrap();
        // SAFETY: all are within the memory, of which only the pointer is used meanwhile.
        unsafe {
            let pages = |first: usize, count: usize| Pages { start: start.add(first * PAGE), bytes: count * PAGE };
            discard(&[pages(1, 2), pages(4, 1)]);
        }
        let address = memory.0.as_ptr().expose_provenance();
        let resident: usize = resident_pages(address, memory.0.len()).unwrap();
        let left: Vec<_> = (0..6).filter(|page| memory.0[page * PAGE..][..PAGE] == [7; PAGE]).collect();
        assert_eq!(resident, left.len(), "what is zero has no memory");
        left
    }

    #[test]
    fn pages_are_discarded_with_the_call_for_many_and_without() {
        // SAFETY: nobody else has them.
        let all = |pages: &[Pages]| unsafe { super::discard(pages) };
        assert_eq!(left(all), [0, 3, 5]);
        // SAFETY: as above.
        let one_by_one = |pages: &[Pages]| pages.iter().for_each(|pages| unsafe { discard_one(*pages) });
        assert_eq!(left(one_by_one), [0, 3, 5]);
        // A kernel before 6.13, or a filter.
        MANY.store(false, Ordering::Relaxed);
        assert_eq!(left(all), [0, 3, 5]);
        MANY.store(true, Ordering::Relaxed);
    }

    #[test]
    fn pages_that_are_locked_in_memory_are_overwritten() {
        let locked = |pages: &[Pages]| {
            // SAFETY: it changes no byte of them.
            let call = |lock: unsafe extern "C" fn(*const libc::c_void, usize) -> i32, of: Pages| unsafe {
                assert_eq!(lock(of.start.as_ptr().cast(), of.bytes), 0);
            };
            call(libc::mlock, pages[1]);
            // SAFETY: as the caller's.
            unsafe { super::discard(pages) };
            // SAFETY: as above.
            assert!(unsafe { std::slice::from_raw_parts(pages[1].start.as_ptr(), PAGE) }.iter().all(|byte| *byte == 0));
            call(libc::munlock, pages[1]);
            // SAFETY: as the caller's. So that none of them has memory.
            unsafe { super::discard(pages) };
        };
        assert_eq!(left(locked), [0, 3, 5]);
    }
}
