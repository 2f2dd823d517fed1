//! A folder that a guest sees, and where it is on the host.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

/// A folder that a guest sees.
#[derive(Debug, Clone)]
pub struct MountedFolder {
    guest: String,
    host: PathBuf,
    /// Below `host`, and reached without leaving it: guests may have put links there.
    inside: PathBuf,
    read_only: bool,
}

/// A folder that is open, so that its path leads to it and nowhere else, as long as this exists.
pub(crate) struct OpenFolder {
    path: PathBuf,
    _folder: OwnedFd,
}

impl MountedFolder {
    /// The folder `host`, which the guest sees as `guest`.
    pub fn new(guest: impl Into<String>, host: impl Into<PathBuf>, read_only: bool) -> Self {
        Self { guest: guest.into(), host: host.into(), inside: PathBuf::new(), read_only }
    }

    /// Its path for the guest.
    pub(crate) fn guest(&self) -> &str {
        &self.guest
    }

    /// Whether the guest may only read there.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The folder that a guest calls `path`, where it is this one or below it. A path with `..` is in none.
    fn below(&self, path: &str) -> Option<Self> {
        let (own, path_parts) = (parts(&self.guest)?, parts(path)?);
        let rest = path_parts.strip_prefix(own.as_slice())?;
        let inside = rest.iter().fold(self.inside.clone(), |inside, part| inside.join(part));
        Some(Self { guest: path.to_owned(), host: self.host.clone(), inside, read_only: self.read_only })
    }

    /// Opens it as a place in the file system, for calls that start from there.
    pub(crate) fn open_place(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = openat2(CWD, &self.host, flags, Mode::empty(), ResolveFlags::empty())?;
        if !self.inside.as_os_str().is_empty() {
            folder = openat2(&folder, &self.inside, flags, Mode::empty(), ResolveFlags::BENEATH)?;
        }
        Ok(folder)
    }

    /// Opens it, for who wants a path.
    pub(crate) fn open(&self) -> io::Result<OpenFolder> {
        let folder = self.open_place()?;
        Ok(OpenFolder { path: PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())), _folder: folder })
    }
}

impl OpenFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// What a guest that has these folders means by `path`; of several that have it, the innermost.
pub(crate) fn find(folders: &[MountedFolder], path: &str) -> Option<MountedFolder> {
    let found = folders.iter().filter_map(|folder| Some((parts(&folder.guest)?.len(), folder.below(path)?)));
    found.max_by_key(|(depth, _)| *depth).map(|(_, folder)| folder)
}

/// The names in a path, behind "/" or, of a relative one, ".". `None` for one that leads upwards.
fn parts(path: &str) -> Option<Vec<&str>> {
    let root = if path.starts_with('/') { "/" } else { "." };
    let parts: Vec<_> = std::iter::once(root).chain(path.split('/').filter(|part| !matches!(*part, "" | "."))).collect();
    (!parts.contains(&"..")).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_the_innermost_folder_that_has_it_or_in_none() {
        let folders = [
            MountedFolder::new(".", "/home/me", false),
            MountedFolder::new("/data", "/mnt/data", false),
            MountedFolder::new("/data/big", "/mnt/big", true),
        ];
        for (path, found) in [
            (".", Some(("/home/me", "", false))),
            ("a/./b/", Some(("/home/me", "a/b", false))),
            ("/data", Some(("/mnt/data", "", false))),
            ("/data//small", Some(("/mnt/data", "small", false))),
            ("/data/big/x", Some(("/mnt/big", "x", true))),
            ("/database", None),
            ("/", None),
            ("..", None),
            ("/data/../etc", None),
        ] {
            let folder = find(&folders, path);
            let seen =
                folder.as_ref().map(|folder| (folder.host.to_str().unwrap(), folder.inside.to_str().unwrap(), folder.read_only));
            assert_eq!(seen, found, "{path}");
        }
    }

    #[test]
    fn no_link_leads_out_of_a_folder() {
        let home = tempfile::tempdir().unwrap();
        let shared = home.path().join("shared");
        std::fs::create_dir_all(shared.join("inner")).unwrap();
        std::os::unix::fs::symlink("../..", shared.join("up")).unwrap();
        std::os::unix::fs::symlink("/etc", shared.join("etc")).unwrap();
        std::os::unix::fs::symlink("inner", shared.join("in")).unwrap();
        let folders = [MountedFolder::new("/s", &shared, false)];
        for (path, opens) in
            [("/s", true), ("/s/inner", true), ("/s/in", true), ("/s/up", false), ("/s/etc", false), ("/s/none", false)]
        {
            assert_eq!(find(&folders, path).unwrap().open().is_ok(), opens, "{path}");
        }
    }
}
