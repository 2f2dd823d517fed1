//! Which memory of this process is there, for tests of what gives memory back.

/// Of the system.
const PAGE: usize = 4096;

/// How many of the pages of an address range are in memory. Its start is that of a page. `None`: a part of it is not mapped.
#[expect(unsafe_code, reason = "neither std nor nix has mincore")]
pub(crate) fn resident_pages(start: usize, bytes: usize) -> Option<usize> {
    let mut pages = vec![0u8; bytes.div_ceil(PAGE)];
    // SAFETY: it writes a byte for each page of the range, and looks only whether those are mapped.
    let asked = unsafe { libc::mincore(std::ptr::with_exposed_provenance_mut(start), bytes, pages.as_mut_ptr()) };
    (asked == 0).then(|| pages.iter().filter(|page| **page & 1 == 1).count())
}
