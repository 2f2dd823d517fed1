//! What is in the memory of every new actor of a program: its data. One that waits for long gives back the pages that still
//! hold it, and gets them again from here before it goes on.
//!
//! The image is that of one actor, at its start. It needs not be right for another: a page is given back only when it is equal
//! to that of the image, byte for byte.

use std::ops::Range;

use super::PAGE;
use super::discard::dont_need;

/// Pages of an image. What is behind them stays with each actor.
const MAX_PAGES: usize = 128;
/// How much of a memory is looked at for them, in bytes.
const MAX_LOOK: usize = 16 << 20;
const ZEROS: [u8; PAGE] = [0; PAGE];

/// The pages of a new memory that hold something.
pub(crate) struct Image {
    /// Where each is, in ascending order.
    offsets: Vec<usize>,
    /// What each holds, one behind the other.
    bytes: Vec<u8>,
}

/// Which pages of an image a memory has given back: a bit for each.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenBack([u64; MAX_PAGES / 64]);

impl GivenBack {
    pub(crate) fn is_something(self) -> bool {
        self != Self::default()
    }

    fn add(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    fn has(self, index: usize) -> bool {
        self.0[index / 64] & 1 << (index % 64) != 0
    }
}

impl Image {
    /// Of the memory of a new actor. `None`: it holds nothing, or the system's pages are others.
    pub(crate) fn of(memory: &[u8]) -> Option<Self> {
        // Else the system would take parts of pages for whole ones.
        if system_page() != Some(PAGE) {
            return None;
        }
        let pages = memory[..memory.len().min(MAX_LOOK)].chunks_exact(PAGE);
        let (mut offsets, mut bytes) = (Vec::new(), Vec::new());
        for (index, page) in pages.enumerate().filter(|(_, page)| **page != ZEROS).take(MAX_PAGES) {
            offsets.push(index * PAGE);
            bytes.extend_from_slice(page);
        }
        (!offsets.is_empty()).then_some(Self { offsets, bytes })
    }

    fn bytes(&self, pages: Range<usize>) -> &[u8] {
        &self.bytes[pages.start * PAGE..pages.end * PAGE]
    }

    /// Where these pages are in a memory, which lie there one behind the other.
    fn place(&self, pages: &Range<usize>) -> Range<usize> {
        self.offsets[pages.start]..self.offsets[pages.start] + pages.len() * PAGE
    }

    fn is_in(&self, memory: &[u8], page: usize) -> bool {
        memory.get(self.place(&(page..page + 1))) == Some(self.bytes(page..page + 1))
    }

    /// The first pages from `start` on that are in a memory as they are here, one behind the other.
    fn next_run(&self, memory: &[u8], start: usize) -> Option<Range<usize>> {
        let first = (start..self.offsets.len()).find(|page| self.is_in(memory, *page))?;
        let goes_on = |page: &usize| self.offsets[*page] == self.offsets[*page - 1] + PAGE && self.is_in(memory, *page);
        let more = (first + 1..self.offsets.len()).take_while(goes_on).count();
        Some(first..first + 1 + more)
    }

    /// Gives the pages back that are as they are here: all of them are zero until they are restored. The memory is one of an
    /// arena.
    pub(crate) fn give_back(&self, memory: &mut [u8]) -> GivenBack {
        let mut given_back = GivenBack::default();
        let mut next = 0;
        while let Some(run) = self.next_run(memory, next) {
            next = run.end;
            let place = &mut memory[self.place(&run)];
            if dont_need(place) {
                run.for_each(|page| given_back.add(page));
            } else {
                // As far as the kernel came.
                place.copy_from_slice(self.bytes(run));
            }
        }
        given_back
    }

    /// Has again what was given back.
    pub(crate) fn restore(&self, memory: &mut [u8], given_back: GivenBack) {
        for page in (0..self.offsets.len()).filter(|page| given_back.has(*page)) {
            memory[self.place(&(page..page + 1))].copy_from_slice(self.bytes(page..page + 1));
        }
    }
}

#[expect(unsafe_code, reason = "a call into the C library")]
fn system_page() -> Option<usize> {
    // SAFETY: it touches no memory of ours.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::arena::{Arena, Slot};
    use super::*;
    use crate::resident::resident_pages;

    const PAGES: usize = 40;

    fn slot() -> Slot {
        Arc::clone(&Arena::reserve(PAGES * PAGE, 1, &Arc::default()).unwrap()).take().unwrap()
    }

    #[expect(unsafe_code, reason = "slots are raw memory")]
    fn memory(slot: &mut Slot) -> &mut [u8] {
        // SAFETY: the slot is as large, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(slot.start().as_ptr(), slot.bytes()) }
    }

    /// Pages of that memory which are there.
    fn resident(memory: &[u8]) -> usize {
        resident_pages(memory.as_ptr().expose_provenance(), memory.len()).unwrap()
    }

    fn fill(memory: &mut [u8], pages: &[u8]) {
        for (page, value) in memory.chunks_exact_mut(PAGE).zip(pages) {
            // Not the same in each byte; 0 is a page that nobody has written.
            if *value > 0 {
                page.iter_mut().enumerate().for_each(|(index, byte)| *byte = value ^ u8::from(index % 3 == 0) << 7);
            }
        }
    }

    /// What of its pages an actor changed.
    fn change(memory: &mut [u8], changes: &[(usize, usize, u8)]) {
        for (page, offset, value) in changes {
            memory[page * PAGE + offset] = *value;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_was_given_back_and_restored_is_as_it_was(
            new in vec(0u8..3, PAGES),
            start in vec(0u8..3, PAGES),
            changes in vec((0..PAGES, 0..PAGE, any::<u8>()), 0..20),
        ) {
            let (mut first, mut other) = (slot(), slot());
            let (first, other) = (memory(&mut first), memory(&mut other));
            fill(first, &new);
            // As a rule it starts as the first one did.
            fill(other, if start[0] == 0 { &start } else { &new });
            change(other, &changes);
            let before = other.to_vec();
            let Some(image) = Image::of(first) else { return Ok(()) };
            let equal = (0..PAGES).filter(|page| {
                let page = page * PAGE..(page + 1) * PAGE;
                first[page.clone()] == other[page.clone()] && first[page] != ZEROS
            });
            let equal = equal.collect::<Vec<_>>();
            let given_back = image.give_back(other);
            let zero = |page: &usize| other[page * PAGE..(page + 1) * PAGE] == ZEROS;
            prop_assert!(equal.iter().all(zero), "all of {equal:?} are gone");
            image.restore(other, given_back);
            prop_assert_eq!(&before, other);
        }
    }

    #[test]
    fn only_what_was_given_back_takes_no_memory() {
        let mut slot = slot();
        let memory = memory(&mut slot);
        fill(memory, &[1, 0, 2, 1, 2]);
        let image = Image::of(memory).unwrap();
        memory[3 * PAGE] ^= 1;
        let before = resident(memory);
        let given_back = image.give_back(memory);
        assert_eq!(resident(memory), before - 3);
        assert!(given_back.is_something());
        assert_eq!(image.give_back(memory), GivenBack::default(), "what is gone is not given back again");
        image.restore(memory, given_back);
        assert_eq!(Image::of(memory).unwrap().offsets, [0, 2 * PAGE, 3 * PAGE, 4 * PAGE]);
    }

    #[test]
    fn pages_that_the_kernel_keeps_are_not_given_back() {
        let mut slot = slot();
        let memory = memory(&mut slot);
        fill(memory, &[1, 2, 0, 1]);
        let (image, before) = (Image::of(memory).unwrap(), memory.to_vec());
        // SAFETY: it changes nothing but that the page stays in memory.
        #[expect(unsafe_code, reason = "neither std nor nix locks raw memory")]
        let locked = unsafe { libc::mlock(memory.as_ptr().add(PAGE).cast(), PAGE) };
        assert_eq!(locked, 0, "{}", std::io::Error::last_os_error());
        let given_back = image.give_back(memory);
        assert_eq!(memory[..2 * PAGE], before[..2 * PAGE], "a part of this run is locked");
        assert_eq!(memory[3 * PAGE..4 * PAGE], ZEROS);
        image.restore(memory, given_back);
        assert_eq!(before, memory);
    }

    #[test]
    fn an_image_is_bounded_and_needs_data() {
        assert!(Image::of(&[0; 3 * PAGE]).is_none());
        let image = Image::of(&vec![1; (MAX_PAGES + 5) * PAGE]).unwrap();
        assert_eq!((image.offsets.len(), image.bytes.len()), (MAX_PAGES, MAX_PAGES * PAGE));
        let mut far = vec![0; MAX_LOOK + PAGE];
        far[MAX_LOOK] = 1;
        assert!(Image::of(&far).is_none());
        // A memory that is smaller than the image was made of loses nothing.
        assert!(!image.is_in(&[1; PAGE / 2], 0));
    }
}
