//! Room in the cache: what is not in use and was not used for longest goes first.
//!
//! The bound holds for entries and files that are being written together: entries get three quarters, and at most
//! [`WRITERS`] at once write a sixteenth each. All of this is called with the folder's lock held.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use crate::folder::Folder;
use crate::{CacheError, Digest, Key};

/// Start of the name of a file that is being written.
pub(crate) const NEW: &str = "new-";
/// End of the name of a lock.
pub(crate) const LOCK: &str = ".lock";
/// Files that are written at once.
const WRITERS: usize = 4;

/// How a bound is divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound(pub(crate) u64);

impl Bound {
    /// Bytes of one entry.
    pub(crate) fn entry(self) -> u64 {
        self.0 / 16
    }

    fn entries(self) -> u64 {
        self.0 - self.entry() * WRITERS as u64
    }
}

/// An entry in the folder, whole or not.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) module: Digest,
    pub(crate) bytes: u64,
    pub(crate) used: SystemTime,
}

/// The entries, the one that was not used for longest first.
pub(crate) fn entries(folder: &Folder) -> Result<Vec<Held>, CacheError> {
    let mut entries = Vec::new();
    for name in folder.names()? {
        let Some(module) = Key::module_of(&name) else { continue };
        // What cannot be opened, such as a link, is no entry: whoever asks for it removes it.
        let Ok(Some(file)) = folder.read(&name) else { continue };
        let Ok(metadata) = file.metadata() else { continue };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        entries.push(Held { name, module, bytes: metadata.len(), used });
    }
    entries.sort_by_key(|entry| entry.used);
    Ok(entries)
}

/// Evicts until there is room for `bytes` more.
pub(crate) fn make(folder: &Folder, bound: Bound, bytes: u64) -> Result<(), CacheError> {
    let entries = entries(folder)?;
    let mut held: u64 = entries.iter().map(|entry| entry.bytes).sum();
    for entry in entries {
        if held.saturating_add(bytes) <= bound.entries() {
            return Ok(());
        }
        if remove_unused(folder, &entry.name)? {
            held = held.saturating_sub(entry.bytes);
        }
    }
    if held.saturating_add(bytes) <= bound.entries() { Ok(()) } else { Err(CacheError::Full { bytes }) }
}

/// Removes what dead writers left, and refuses when as many as may be are alive.
pub(crate) fn admit_writer(folder: &Folder) -> Result<(), CacheError> {
    let mut writers = 0;
    for name in folder.names()? {
        if name.starts_with(NEW) {
            writers += usize::from(!remove_unused(folder, &name)?);
        } else if name.ends_with(LOCK) {
            remove_unused(folder, &name)?;
        }
    }
    if writers < WRITERS { Ok(()) } else { Err(CacheError::Busy { writers }) }
}

/// Removes a file unless somebody has a lock on it. Whether it is gone.
pub(crate) fn remove_unused(folder: &Folder, name: &str) -> Result<bool, CacheError> {
    let Some(file) = folder.read(name)? else { return Ok(true) };
    if !try_lock(&file)? {
        return Ok(false);
    }
    folder.remove(name)?;
    Ok(true)
}

/// Takes the lock of a file, if nobody has one.
pub(crate) fn try_lock(file: &File) -> Result<bool, CacheError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(CacheError::io("locking a file of compiled code")(error)),
    }
}
