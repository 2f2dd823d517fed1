//! The folder of a cache, held open: names are looked up in it and nowhere else, and no link is followed.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::CacheError;

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
    owner: u32,
}

impl Folder {
    /// Makes it where it is missing, and refuses one that somebody else could write to.
    pub(crate) fn open(path: &Path) -> Result<Self, CacheError> {
        let failed = || path.display().to_string();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(CacheError::io(failed()))?;
        }
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(CacheError::io(failed())(error)),
            _ => {}
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let unsafe_because = |reason: String| CacheError::Unsafe { folder: path.to_owned(), reason };
        let handle = match nix::fcntl::open(path, flags, Mode::empty()) {
            Err(Errno::ELOOP | Errno::ENOTDIR) => return Err(unsafe_because("it is no folder, or a link: remove it".to_owned())),
            opened => opened.map_err(CacheError::io(failed()))?,
        };
        let folder = File::from(handle);
        let metadata = folder.metadata().map_err(CacheError::io(failed()))?;
        let owner = nix::unistd::geteuid().as_raw();
        if metadata.uid() != owner {
            return Err(unsafe_because(format!("it belongs to user {}, not to {owner}: remove it", metadata.uid())));
        }
        if metadata.mode() & 0o077 != 0 {
            let mode = metadata.mode() & 0o777;
            return Err(unsafe_because(format!("its mode is {mode:o}: chmod 700 it, if nobody else wrote to it, or remove it")));
        }
        Ok(Self { path: path.to_owned(), handle: folder.into(), owner })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The user whom everything in it belongs to.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file for reading. `None` when there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<File>, CacheError> {
        // Whatever was planted there: a FIFO must not be waited for.
        match self.open_file(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(self.failed(name)(error)),
        }
    }

    /// Opens a file for locking and writing; makes it where there is none.
    pub(crate) fn make(&self, name: &str, flags: OFlag) -> Result<File, CacheError> {
        self.open_file(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NONBLOCK | flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(self.failed(name))
    }

    fn open_file(&self, name: &str, flags: OFlag, mode: Mode) -> Result<File, Errno> {
        openat(&self.handle, name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, mode).map(File::from)
    }

    /// Whether the file that is open is still the one of that name.
    pub(crate) fn is_current(&self, name: &str, file: &File) -> bool {
        let named = fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        match (named, file.metadata()) {
            (Ok(named), Ok(open)) => named.st_ino == open.ino() && named.st_dev == open.dev(),
            _ => false,
        }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), CacheError> {
        renameat(&self.handle, from, &self.handle, to).map_err(self.failed(to))
    }

    /// Removes a name, also of a link. One that is gone is no failure.
    pub(crate) fn remove(&self, name: &str) -> Result<(), CacheError> {
        match unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => unlinkat(&self.handle, name, UnlinkatFlags::RemoveDir).map_err(self.failed(name)),
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(self.failed(name)(error)),
        }
    }

    /// Its names, in no order.
    pub(crate) fn names(&self) -> Result<Vec<String>, CacheError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut folder = Dir::openat(&self.handle, ".", flags, Mode::empty()).map_err(self.failed("."))?;
        let mut names = Vec::new();
        for entry in folder.iter() {
            let entry = entry.map_err(self.failed("."))?;
            // Ours are ASCII.
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Waits for the lock of the whole folder, which is held for moments only: while room is made and a name is given.
    pub(crate) fn lock(&self) -> Result<File, CacheError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let own = File::from(openat(&self.handle, ".", flags, Mode::empty()).map_err(self.failed("."))?);
        own.lock().map_err(self.failed("."))?;
        Ok(own)
    }

    /// Makes names last through a loss of power.
    pub(crate) fn sync(&self) -> Result<(), CacheError> {
        nix::unistd::fsync(&self.handle).map_err(self.failed("."))
    }

    fn failed<E: Into<std::io::Error>>(&self, name: &str) -> impl FnOnce(E) -> CacheError {
        CacheError::io(self.path.join(name).display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_is_made_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("perigee/code");
        Folder::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        Folder::open(&path).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_reach_is_refused_with_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("code");
        for mode in [0o755, 0o770, 0o701] {
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Folder::open(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("{mode:o}")) && error.contains("chmod 700"), "{error}");
            fs::remove_dir(&path).unwrap();
        }
    }

    #[test]
    fn a_link_is_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let (path, other) = (parent.path().join("code"), parent.path().join("other"));
        fs::DirBuilder::new().mode(0o700).create(&other).unwrap();
        symlink(&other, &path).unwrap();
        assert!(matches!(Folder::open(&path).unwrap_err(), CacheError::Unsafe { .. }));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(Folder::open(&path).unwrap_err(), CacheError::Unsafe { .. }));
    }
}
