//! What only a start needed goes back to the kernel: workers and shims are idle most of their lives.
#![warn(missing_docs)]

mod program;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use program::Program;

/// From then on nothing is starting any more.
const STARTED: Duration = Duration::from_secs(1);

/// Within this, all that an idle process does has run: containerd asks a shim for its containers' figures once a second.
const SETTLED: Duration = Duration::from_secs(3);

/// For a thread that sleeps, and then calls what is below.
const STACK: usize = 64 << 10;

/// How often something has started in this process.
static STARTS: AtomicUsize = AtomicUsize::new(0);

/// Gives it back once the last start is over. On a thread of its own, which then ends: everything that runs afterwards is
/// read again, and a thread of an event loop would go back through all that called it.
pub fn give_back_when_started() {
    let start = STARTS.fetch_add(1, Ordering::Relaxed) + 1;
    // Where there can be no thread, it stays.
    drop(spawn(move || {
        sleep(STARTED);
        if is_last(start) {
            settle(start);
        }
    }));
}

/// Whoever started later does the rest.
fn is_last(start: usize) -> bool {
    STARTS.load(Ordering::Relaxed) == start
}

fn spawn(run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name("perigee-idle".to_owned()).stack_size(STACK).spawn(run)
}

/// Gives back, and has what runs all the same read again in small pieces.
fn settle(start: usize) {
    let program = Program::of_this_process();
    program.cut();
    release(&program);
    // On a thread whose end is read in pieces, too: it is how this one ends, after the pieces are gone.
    drop(spawn(|| sleep(SETTLED)).map(JoinHandle::join));
    if is_last(start) {
        program.join();
    }
}

/// Unmaps the pages of the program's own code and constants, and the allocator's free ones. What is needed again is found in
/// the page cache; what is not (reading the manifest, linking, compiling) counts as nobody's.
pub fn give_back() {
    release(&Program::of_this_process());
}

#[expect(unsafe_code, reason = "neither std nor nix knows it")]
fn release(program: &Program) {
    // SAFETY: it takes any number of bytes.
    unsafe { libc::malloc_trim(0) };
    program.unmap();
}

/// KiB of the program's own code that are in memory, as the kernel counts them for this process. For tests.
///
/// # Errors
/// The kernel does not say.
pub fn code_in_memory() -> std::io::Result<u64> {
    let own = std::env::current_exe()?.display().to_string();
    let smaps = std::fs::read_to_string("/proc/self/smaps")?;
    let (mut is_code, mut kibibytes) = (false, None);
    for line in smaps.lines() {
        if line.contains(" r-xp ") {
            is_code = line.ends_with(&own);
        } else if let Some(resident) = line.strip_prefix("Rss:").filter(|_| is_code) {
            let resident: Option<u64> = resident.trim().strip_suffix(" kB").and_then(|number| number.parse().ok());
            kibibytes = Some(kibibytes.unwrap_or(0) + resident.ok_or_else(|| std::io::Error::other(line.to_owned()))?);
            is_code = false;
        }
    }
    kibibytes.ok_or_else(|| std::io::Error::other("no code of this program in /proc/self/smaps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As far as the kernel reads around a page of a file, at the least.
    const AROUND: usize = 64 << 10;

    fn mappings() -> usize {
        std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
    }

    #[test]
    fn while_the_code_is_in_pieces_a_page_brings_little_else() {
        let program = Program::of_this_process();
        let resident_after_reading_some = || {
            program.unmap();
            program.read_every(AROUND);
            code_in_memory().unwrap()
        };
        let (whole, before) = (resident_after_reading_some(), mappings());
        program.cut();
        let in_pieces = resident_after_reading_some();
        assert!(in_pieces < whole / 2, "{in_pieces} KiB in pieces, {whole} KiB as a whole");
        program.join();
        assert_eq!(mappings(), before);
    }
}
