//! Why there is no cached code. No caller fails for it: it compiles without the cache, and says so.

use std::io;
use std::path::PathBuf;

/// A cache, or an entry of it, that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Somebody else could write to it.
    #[error("the folder of compiled code {folder} is not used: {reason}")]
    Unsafe {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// One entry is a sixteenth of the cache at most.
    #[error("compiled code of {bytes} bytes is not kept: the cache takes up to {most} bytes of one module")]
    TooLarge {
        /// Bytes of the code.
        bytes: u64,
        /// The bound.
        most: u64,
    },
    /// Everything in it is in use.
    #[error("there is no room for {bytes} bytes of compiled code: all that the cache holds is in use")]
    Full {
        /// Bytes of the code.
        bytes: u64,
    },
    /// So many write at the moment that their files could take more than their share of the disk.
    #[error("{writers} modules are being compiled into the cache already")]
    Busy {
        /// How many.
        writers: usize,
    },
    /// A file that is no entry, or not a whole one.
    #[error("{path} is no compiled code of this version of Perigee: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl CacheError {
    /// For `map_err`: what was being done.
    pub(crate) fn io<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        |source| Self::Io { what: what.into(), source: source.into() }
    }
}
