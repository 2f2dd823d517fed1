//! The threads of a process that runs actors.

use tokio::runtime::Builder;

/// Threads for file access and name look-ups; where databases are closed, too.
const BLOCKING_THREADS: usize = 64;

/// Tokio's, to be built: one for each core, which run actors, and those that wait for what blocks.
#[must_use]
pub fn threads() -> Builder {
    let mut threads = Builder::new_multi_thread();
    threads.enable_all().max_blocking_threads(BLOCKING_THREADS).thread_name("perigee-actors");
    threads
}
