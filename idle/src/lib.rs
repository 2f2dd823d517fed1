//! What only a start needed goes back to the kernel: workers and shims are idle most of their lives.
#![warn(missing_docs)]

use std::ffi::c_void;
use std::thread::Builder;
use std::time::Duration;

/// From then on nothing is starting any more.
const STARTED: Duration = Duration::from_secs(1);
const PAGE: usize = 4096;

/// For a thread that sleeps, and then calls what is below.
const STACK: usize = 64 << 10;

/// Gives it back once the start is over. On a thread of its own, which then ends: everything that runs afterwards is read
/// again, with all that lies around it in the file (up to 256 KiB), and a thread of an event loop would go back through that.
pub fn give_back_when_started() {
    let thread = Builder::new().name("perigee-idle".to_owned()).stack_size(STACK);
    // Where there can be no thread, it stays.
    drop(thread.spawn(|| {
        std::thread::sleep(STARTED);
        give_back();
    }));
}

/// Unmaps the pages of the program's own code and constants, and the allocator's free ones. What is needed again is found in
/// the page cache; what is not (reading the manifest, linking, compiling) counts as nobody's.
#[expect(unsafe_code, reason = "neither std nor nix knows these")]
pub fn give_back() {
    // SAFETY: both are called with what they ask for; `unmap` gets no data.
    unsafe {
        libc::malloc_trim(0);
        libc::dl_iterate_phdr(Some(unmap), std::ptr::null_mut());
    }
}

/// For the first object, which is the program: its segments that cannot be written (elf(5)). They are as they are in the
/// file, so they can be read again; those with relocations were written, and stay.
#[expect(unsafe_code, reason = "the C library lends its own structures")]
unsafe extern "C" fn unmap(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> libc::c_int {
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
        let end = (base + address + bytes).next_multiple_of(PAGE);
        // SAFETY: whole pages of this program's own file, never written: they are read from the file again.
        unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
    }
    1
}

/// KiB of the program's own code that are in memory, as the kernel counts them for this process. For tests.
///
/// # Errors
/// The kernel does not say.
pub fn code_in_memory() -> std::io::Result<u64> {
    let smaps = std::fs::read_to_string("/proc/self/smaps")?;
    let own = std::env::current_exe()?.display().to_string();
    let mut lines = smaps.lines().skip_while(|line| !(line.contains(" r-xp ") && line.ends_with(&own)));
    let resident = lines.find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")?.parse().ok());
    resident.ok_or_else(|| std::io::Error::other("no code of this program in /proc/self/smaps"))
}
