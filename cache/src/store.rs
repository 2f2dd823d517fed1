//! Getting entries, and adding them.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::OFlag;

use crate::folder::Folder;
use crate::room::{self, Bound, LOCK, NEW};
use crate::{CacheError, Digest, Entry, Key, entry};

/// How often one who waits for another's entry looks.
const LOOK: Duration = Duration::from_millis(5);
/// An entry may be replaced while it is being looked at; not for ever.
const TRIES: usize = 8;

/// A cache of compiled code.
#[derive(Debug)]
pub struct Cache {
    folder: Folder,
    bound: Bound,
}

/// What [`Cache::get_or_begin`] found.
#[derive(Debug)]
pub enum Turn {
    /// The code is there.
    Ready(Entry),
    /// It is the caller's turn to compile.
    Mine(Writer),
}

/// An entry that is being made. Dropped before [`Cache::commit`], nothing of it is left.
#[derive(Debug)]
pub struct Writer {
    file: File,
    key: Key,
    made: Made,
    /// Dropped last: then the next one looks whether the entry is there.
    _turn: Option<Lock>,
}

/// Names that are removed with the writer.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    name: String,
    renamed: bool,
}

#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Closing it ends the lock.
    _file: File,
}

/// One line of a list.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Digest of the module.
    pub module: Digest,
    /// Bytes of the entry.
    pub bytes: u64,
    /// When it was used last.
    pub used: SystemTime,
}

impl Cache {
    /// Opens a cache, and makes its folder where there is none. It holds `limit` bytes at most.
    ///
    /// # Errors
    /// The folder cannot be made, or somebody else could write to it.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, CacheError> {
        Ok(Self { folder: Folder::open(folder)?, bound: Bound(limit) })
    }

    /// Bytes that the code of one module may have.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.bound.entry()
    }

    /// The code for a key. What is broken is removed, and counts as missing.
    ///
    /// # Errors
    /// The folder cannot be read, or a broken entry not be removed.
    pub fn get(&self, key: &Key) -> Result<Option<Entry>, CacheError> {
        let name = key.file_name();
        for _ in 0..TRIES {
            let Some(mut file) = self.open_entry(&name)? else { return Ok(None) };
            // Evicted or replaced before the lock was there.
            if !self.folder.is_current(&name, &file) {
                continue;
            }
            let path = self.folder.file(&name);
            if entry::verify(&mut file, &path, key, self.folder.owner()).is_err() {
                let _whole = self.folder.lock()?;
                if self.folder.is_current(&name, &file) {
                    self.folder.remove(&name)?;
                }
                return Ok(None);
            }
            // Eviction goes by it. A file system that is read-only forgets nothing either.
            file.set_modified(SystemTime::now()).unwrap_or_default();
            return Ok(Some(Entry::new(file, path)));
        }
        Ok(None)
    }

    /// Opens an entry with a shared lock. Something else of that name is removed.
    fn open_entry(&self, name: &str) -> Result<Option<File>, CacheError> {
        match self.folder.read(name) {
            Ok(Some(file)) => match file.try_lock_shared() {
                Ok(()) => Ok(Some(file)),
                // Somebody is evicting it.
                Err(_) => Ok(None),
            },
            Ok(None) => Ok(None),
            // A link, a socket, a device without a driver.
            Err(_) => self.folder.remove(name).map(|()| None),
        }
    }

    /// The code for a key, or the turn to make it.
    ///
    /// While somebody else makes it, waits for that, but not longer than `patience`: who compiles may have been given less
    /// of the processor. After that both compile. Blocks the thread.
    ///
    /// # Errors
    /// There is no room for one more, or the folder cannot be written to.
    pub fn get_or_begin(&self, key: &Key, patience: Duration) -> Result<Turn, CacheError> {
        let started = Instant::now();
        loop {
            if let Some(entry) = self.get(key)? {
                return Ok(Turn::Ready(entry));
            }
            let turn = self.try_turn(key)?;
            if turn.is_some() || started.elapsed() >= patience {
                // It may have come between the look and the lock.
                return match self.get(key)? {
                    Some(entry) => Ok(Turn::Ready(entry)),
                    None => self.begin(key, turn).map(Turn::Mine),
                };
            }
            thread::sleep(LOOK);
        }
    }

    fn try_turn(&self, key: &Key) -> Result<Option<Lock>, CacheError> {
        let name = key.file_name() + LOCK;
        let file = self.folder.make(&name, OFlag::empty())?;
        let mine = room::try_lock(&file)? && self.folder.is_current(&name, &file);
        Ok(mine.then(|| Lock { path: self.folder.file(&name), _file: file }))
    }

    fn begin(&self, key: &Key, turn: Option<Lock>) -> Result<Writer, CacheError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{NEW}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let _whole = self.folder.lock()?;
        room::admit_writer(&self.folder)?;
        let file = self.folder.make(&name, OFlag::O_EXCL)?;
        let made = Made { path: self.folder.file(&name), name, renamed: false };
        if !room::try_lock(&file)? {
            return Err(CacheError::Busy { writers: 1 });
        }
        Ok(Writer { file, key: *key, made, _turn: turn })
    }

    /// Adds what was written to [`Writer::file`], and returns it for use.
    ///
    /// # Errors
    /// The code is too large, or there is no room, or the disk failed. Nothing is added then.
    pub fn commit(&self, mut writer: Writer) -> Result<Entry, CacheError> {
        let path = writer.made.path.clone();
        let failed = |source| CacheError::Io { what: path.display().to_string(), source };
        let (bytes, most) = (writer.file.metadata().map_err(failed)?.len(), self.most());
        if bytes > most {
            return Err(CacheError::TooLarge { bytes, most });
        }
        let bytes = entry::seal(&mut writer.file, &writer.key).map_err(failed)?;
        writer.file.set_permissions(Permissions::from_mode(0o444)).map_err(failed)?;
        // Before it has its name: after a loss of power there is a whole entry of that name, or none.
        writer.file.sync_all().map_err(failed)?;
        let name = writer.key.file_name();
        let whole = self.folder.lock()?;
        room::make(&self.folder, self.bound, bytes)?;
        self.folder.rename(&writer.made.name, &name)?;
        writer.made.renamed = true;
        self.folder.sync()?;
        // Opened again, for reading. Whoever evicts holds the lock of the folder, so nobody comes between these two.
        let entry = Entry::new(self.reopen(&name)?, self.folder.file(&name));
        writer.file.unlock().map_err(failed)?;
        entry.file().lock_shared().map_err(failed)?;
        drop(whole);
        Ok(entry)
    }

    fn reopen(&self, name: &str) -> Result<File, CacheError> {
        let gone = || CacheError::Broken { path: self.folder.file(name), reason: "it vanished" };
        self.folder.read(name)?.ok_or_else(gone)
    }

    /// The entries, the one that was not used for longest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, CacheError> {
        let entries = room::entries(&self.folder)?.into_iter();
        Ok(entries.map(|entry| Listed { module: entry.module, bytes: entry.bytes, used: entry.used }).collect())
    }

    /// Removes all entries that are not in use. How many, and how many are.
    ///
    /// # Errors
    /// The folder cannot be read or written to.
    pub fn clear(&self) -> Result<(usize, usize), CacheError> {
        let _whole = self.folder.lock()?;
        let (mut removed, mut used) = (0, 0);
        for entry in room::entries(&self.folder)? {
            let gone = room::remove_unused(&self.folder, &entry.name)?;
            *if gone { &mut removed } else { &mut used } += 1;
        }
        Ok((removed, used))
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Writer {
    /// Where the code goes. Empty.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.renamed {
            // Else whoever writes next does.
            std::fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // With the lock still held: who has opened the file meanwhile sees that it is no longer the one of that name.
        std::fs::remove_file(&self.path).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
