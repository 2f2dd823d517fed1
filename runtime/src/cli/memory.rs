//! What only the start of the process needed goes back to the kernel: a pod is idle most of its life.

use std::ffi::c_void;
use std::time::Duration;

/// From then on a process is no longer starting.
const STARTED: Duration = Duration::from_secs(1);
const PAGE: usize = 4096;

/// Gives it back once the start is over.
pub(super) async fn give_back_when_started() {
    tokio::time::sleep(STARTED).await;
    give_back();
}

/// Unmaps the pages of the program's own code and constants, and the allocator's free ones. What is needed again is found in
/// the page cache, 16 pages at a time; what is not (reading the manifest, linking, compiling) counts as nobody's.
#[expect(unsafe_code, reason = "neither std nor nix knows these")]
fn give_back() {
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

#[cfg(test)]
mod tests {
    /// KiB of this program's code in memory.
    fn code() -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let own = std::env::current_exe().unwrap().display().to_string();
        let mut lines = smaps.lines().skip_while(|line| !(line.contains(" r-xp ") && line.ends_with(&own)));
        let line = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn code_that_ran_is_given_back_and_runs_again() {
        // Compiling a module runs much of it.
        let compile = || perigee_runtime::Compiler::new().unwrap().compile("empty", b"\0asm\x01\0\0\0").unwrap();
        let compiled = compile();
        let before = code();
        super::give_back();
        let after = code();
        assert!(after < before / 2, "{before} KiB before, {after} KiB after");
        assert_eq!(compile(), compiled);
    }
}
