//! The cache of compiled code: native code of modules in files, for the node (the shim) and for a laptop (`perigee run`).
//!
//! What is in it is run as native code, so everything here serves one sentence: **an entry is what one of us compiled from
//! the module that it is asked for, as a whole, or it is not handed out.**
//!
//! ```text
//! <folder>            0700, owned by who uses it; never within reach of a container
//!   <module>-<engine>     an entry, 0444: code, then a trailer with its checksum. Written once, then only unlinked,
//!                         since workers have it mapped
//!   <module>-<engine>.lock  held by who compiles that module
//!   new-<pid>-<n>         an entry that is being written, locked by its writer
//! ```
//! An entry is named by the digest of the module and the fingerprint of the engine that compiled it, and appears by a
//! rename. Whoever got one holds a shared lock on it until it drops it: it is not evicted meanwhile. All locks are
//! `flock`s, which end with their process, so a crash leaves nothing that has to be repaired.
#![warn(missing_docs)]

mod entry;
mod error;
mod folder;
mod key;
mod room;
mod store;

pub use entry::Entry;
pub use error::CacheError;
pub use key::{Digest, Digester, Key};
pub use store::{Cache, Listed, Turn, Writer};

/// Bytes of a module beyond which it is not cached: to know it, it has to be read as a whole by who pays for no pod.
pub const MAX_MODULE: u64 = 64 << 20;
/// Bytes that a cache holds unless told otherwise.
pub const DEFAULT_LIMIT: u64 = 2 << 30;
