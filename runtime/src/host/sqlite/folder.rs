//! A guest's paths to files in the folders of its class, and the locks by which databases are shared.
//!
//! Neither `..` nor a symbolic link leads out of a folder, whoever changes what while it is opened: the kernel resolves each
//! path below the folder (`RESOLVE_BENEATH`).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, OpenHow, ResolveFlag, fcntl, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

use crate::folder::MountedFolder;

/// Bytes of a database file that stand for locks: SQLite's own protocol (<https://www.sqlite.org/lockingv3.html>), so that
/// its programs can share a file with guests.
const PENDING: i64 = 0x4000_0000;
const RESERVED: i64 = PENDING + 1;
const SHARED_FIRST: i64 = PENDING + 2;
const SHARED_LEN: i64 = 510;
/// As the locks' length: to the end of all files.
const ALL: i64 = 0;

/// Permissions of a file that is made.
const CREATED: Mode = Mode::from_bits_truncate(0o644);
/// A pipe is opened, and then refused, but not waited for.
const WITHOUT_WAITING: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY);

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Reading alone, where writing is not allowed.
    Write,
    /// And it is made when it is not there.
    Create,
    /// It must not be there before.
    CreateNew,
}

impl Access {
    fn creates(self) -> OFlag {
        match self {
            Self::Read | Self::Write => OFlag::empty(),
            Self::Create => OFlag::O_CREAT,
            Self::CreateNew => OFlag::O_CREAT | OFlag::O_EXCL,
        }
    }
}

/// What SQLite holds of a file, each including the ones before (<https://www.sqlite.org/lockingv3.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

/// An open file.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    pub(super) file: File,
    pub(super) read_only: bool,
    lock: Lock,
    /// The folder of a file that may be new, until that is on the disk.
    unsynced: Option<OwnedFd>,
}

/// The folder that a path leads into, and the path from there.
pub(super) fn locate<'a>(folders: &'a [MountedFolder], path: &'a str) -> Option<(&'a MountedFolder, &'a str)> {
    let inside = |folder: &'a MountedFolder| {
        // A guest's current folder is ".", where it is granted, else "/".
        let name = folder.guest().trim_matches('/');
        if name == "." {
            return (!path.starts_with('/')).then_some((0, folder, path));
        }
        let rest = path.trim_start_matches('/').strip_prefix(name)?;
        let below = name.is_empty() || rest.is_empty() || rest.starts_with('/');
        below.then_some((name.len(), folder, rest.trim_start_matches('/')))
    };
    folders.iter().filter_map(inside).max_by_key(|found| found.0).map(|(_, folder, rest)| (folder, rest))
}

/// Where a path leads.
struct Place<'a> {
    root: OwnedFd,
    rest: &'a str,
    read_only: bool,
}

impl<'a> Place<'a> {
    /// # Errors
    /// `ENOENT` too where no folder holds the path.
    fn find(folders: &'a [MountedFolder], path: &'a str) -> Result<Self, Errno> {
        let (folder, rest) = locate(folders, path).ok_or(Errno::ENOENT)?;
        let root = folder.open_place().map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        Ok(Self { root, rest, read_only: folder.is_read_only() })
    }

    fn open(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let mode = if flags.contains(OFlag::O_CREAT) { CREATED } else { Mode::empty() };
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        openat2(&self.root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(resolve))
    }

    /// The folder right above.
    fn open_parent(&self) -> Result<OwnedFd, Errno> {
        let parent = Path::new(self.rest).parent().filter(|parent| !parent.as_os_str().is_empty());
        self.open(parent.unwrap_or(Path::new(".")), OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    /// The path's last part.
    fn name(&self) -> Result<&'a str, Errno> {
        match self.rest.rsplit('/').next() {
            Some(name) if !matches!(name, "" | "." | "..") => Ok(name),
            _ => Err(Errno::EISDIR),
        }
    }
}

impl DatabaseFile {
    /// # Errors
    /// As [`Place::find`]; `EISDIR` for what is no regular file.
    pub(super) fn open(folders: &[MountedFolder], path: &str, access: Access) -> Result<Self, Errno> {
        let place = Place::find(folders, path)?;
        let rest = Path::new(place.rest);
        let read = || place.open(rest, OFlag::O_RDONLY | WITHOUT_WAITING).map(|fd| (fd, true));
        let written = match access {
            Access::CreateNew if place.read_only => Err(Errno::EROFS),
            _ if place.read_only || access == Access::Read => read(),
            _ => place.open(rest, OFlag::O_RDWR | WITHOUT_WAITING | access.creates()).map(|fd| (fd, false)),
        };
        let (fd, read_only) = match written {
            Err(Errno::EACCES | Errno::EROFS) if access != Access::CreateNew => read()?,
            opened => opened?,
        };
        if SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(Errno::EISDIR);
        }
        Ok(Self { file: fd.into(), read_only, lock: Lock::None, unsynced: None })
    }

    /// The same file, which may be new: with its bytes its name is written to the disk too.
    pub(super) fn with_name(self, folders: &[MountedFolder], path: &str) -> Result<Self, Errno> {
        Ok(Self { unsynced: Some(Place::find(folders, path)?.open_parent()?), ..self })
    }

    /// Writes what the system holds back of the file to the disk, and of its name.
    pub(super) fn sync(&mut self, data_only: bool) -> std::io::Result<()> {
        if data_only {
            self.file.sync_data()?
        } else {
            self.file.sync_all()?
        }
        if let Some(folder) = self.unsynced.take() {
            fsync(folder)?;
        }
        Ok(())
    }

    /// Takes a lock that is higher than what is held. `Ok(false)`: another one is in the way.
    ///
    /// Locks belong to the open file (`F_OFD_SETLK`): those of two connections of one process hold against each other, and
    /// no other close of the same file in the process takes them away.
    pub(super) fn lock(&mut self, wanted: Lock) -> Result<bool, Errno> {
        if self.lock >= wanted {
            return Ok(true);
        }
        let got = match wanted {
            Lock::None => true,
            Lock::Shared => {
                // Not beside one that waits to write.
                self.set(libc::F_RDLCK, PENDING, 1)? && {
                    let got = self.set(libc::F_RDLCK, SHARED_FIRST, SHARED_LEN);
                    self.set(libc::F_UNLCK, PENDING, 1)?;
                    got?
                }
            }
            Lock::Reserved => self.set(libc::F_WRLCK, RESERVED, 1)?,
            Lock::Pending | Lock::Exclusive => {
                let pending = self.lock == Lock::Pending || self.set(libc::F_WRLCK, PENDING, 1)?;
                if pending {
                    self.lock = Lock::Pending;
                }
                pending && (wanted == Lock::Pending || self.set(libc::F_WRLCK, SHARED_FIRST, SHARED_LEN)?)
            }
        };
        if got {
            self.lock = wanted;
        }
        Ok(got)
    }

    /// Gives locks back until `kept`, which is shared or none.
    pub(super) fn unlock(&mut self, kept: Lock) -> Result<(), Errno> {
        if self.lock <= kept {
            return Ok(());
        }
        if kept == Lock::Shared {
            self.set(libc::F_RDLCK, SHARED_FIRST, SHARED_LEN)?;
            self.set(libc::F_UNLCK, PENDING, 2)?;
        } else {
            self.set(libc::F_UNLCK, 0, ALL)?;
        }
        self.lock = kept;
        Ok(())
    }

    /// Whether anybody is about to write.
    pub(super) fn is_reserved(&self) -> Result<bool, Errno> {
        if self.lock >= Lock::Reserved {
            return Ok(true);
        }
        let mut lock = range(libc::F_WRLCK, RESERVED, 1);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    fn set(&self, kind: i32, start: i64, len: i64) -> Result<bool, Errno> {
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&range(kind, start, len))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn range(kind: i32, start: i64, len: i64) -> libc::flock {
    // All kinds fit: they are 0, 1 and 2.
    let (l_type, l_whence) = (i16::try_from(kind).unwrap_or(i16::MAX), i16::try_from(libc::SEEK_SET).unwrap_or(0));
    libc::flock { l_type, l_whence, l_start: start, l_len: len, l_pid: 0 }
}

/// Takes a file away; with `sync`, so that it stays away whatever happens.
pub(super) fn delete(folders: &[MountedFolder], path: &str, sync: bool) -> Result<(), Errno> {
    let place = Place::find(folders, path)?;
    if place.read_only {
        return Err(Errno::EROFS);
    }
    let folder = place.open_parent()?;
    unlinkat(&folder, place.name()?, UnlinkatFlags::NoRemoveDir)?;
    if sync { fsync(folder) } else { Ok(()) }
}

/// Whether there is such a file with anything in it: SQLite takes an empty journal for none.
pub(super) fn exists(folders: &[MountedFolder], path: &str) -> bool {
    let place = Place::find(folders, path);
    let found = place.and_then(|place| fstat(place.open(Path::new(place.rest), OFlag::O_PATH)?));
    found.is_ok_and(|found| found.st_size > 0)
}

#[cfg(test)]
mod tests;
