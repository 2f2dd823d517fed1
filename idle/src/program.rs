//! The program's own file in memory: what of it cannot be written, and so can be read again at any time.

use std::ffi::c_void;
use std::ops::Range;

const PAGE: usize = 4096;

/// What a page that is read brings with it, while the program is in pieces.
const PIECE: usize = 16 << 10;

/// Addresses of the segments, in whole pages.
pub(crate) struct Program(Vec<Range<usize>>);

impl Program {
    #[expect(unsafe_code, reason = "neither std nor nix knows it")]
    pub(crate) fn of_this_process() -> Self {
        let mut segments = Vec::new();
        // SAFETY: `collect` gets what it takes, and is done with it when this returns.
        unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut segments).cast()) };
        Self(segments)
    }

    /// Has each page read from the file (mostly from the page cache) before it is used again.
    pub(crate) fn unmap(&self) {
        self.0.iter().for_each(|segment| advise(segment, libc::MADV_DONTNEED));
    }

    /// A page that is read brings the rest of its large folio with it (128 to 256 KiB of a file that was just written), within
    /// its mapping. So small mappings are made of each segment: every second piece gets a mark that makes no other difference,
    /// since what cannot be written is not dumped anyway. They cost the kernel 0.3 KiB each, hence not for long.
    pub(crate) fn cut(&self) {
        for segment in &self.0 {
            for start in segment.clone().step_by(2 * PIECE) {
                advise(&(start..segment.end.min(start + PIECE)), libc::MADV_DONTDUMP);
            }
        }
    }

    /// Undoes [`Program::cut`]: the kernel merges what is alike again. What is mapped stays so.
    pub(crate) fn join(&self) {
        self.0.iter().for_each(|segment| advise(segment, libc::MADV_DODUMP));
    }

    #[cfg(test)]
    #[expect(unsafe_code, reason = "segments are no objects of Rust")]
    pub(crate) fn read_every(&self, bytes: usize) {
        for address in self.0.iter().flat_map(|segment| segment.clone().step_by(bytes)) {
            // SAFETY: it is mapped, readable, and never written.
            unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() };
        }
    }
}

/// Advice of which nothing depends that it is followed.
#[expect(unsafe_code, reason = "neither std nor nix knows all of the kinds")]
fn advise(pages: &Range<usize>, advice: libc::c_int) {
    // SAFETY: whole pages of this program's own file that are never written, and none of the kinds changes what is read there.
    unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(pages.start), pages.len(), advice) };
}

/// For the first object, which is the program: its segments that cannot be written (elf(5)). Those with relocations were.
#[expect(unsafe_code, reason = "the C library lends its own structures")]
unsafe extern "C" fn collect(object: *mut libc::dl_phdr_info, _: usize, segments: *mut c_void) -> libc::c_int {
    // SAFETY: `of_this_process` passes this.
    let segments = unsafe { &mut *segments.cast::<Vec<Range<usize>>>() };
    // SAFETY: the C library passes a valid object with so many headers.
    let (base, headers) = unsafe {
        let object = &*object;
        (
            usize::try_from(object.dlpi_addr).unwrap_or_default(),
            std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()),
        )
    };
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0) {
        let (Ok(address), Ok(bytes)) = (usize::try_from(header.p_vaddr), usize::try_from(header.p_memsz)) else { continue };
        let start = (base + address) & !(PAGE - 1);
        segments.push(start..(base + address + bytes).next_multiple_of(PAGE));
    }
    1
}
