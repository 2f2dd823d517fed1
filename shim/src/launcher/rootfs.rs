//! Paths in a container's root file system, which is hostile: any name in it may be a link to anywhere.
//!
//! Every path is resolved by the kernel as if the root file system were `/`, to a descriptor; what is done afterwards is
//! done to that descriptor. So neither a link nor one that appears between two steps leads outside.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat},
    io::Errno,
};

/// Links that one path may lead through, as the kernel has it.
const MAX_LINKS: usize = 40;
/// Parts of a path, and of the links in it.
const MAX_PARTS: usize = 1024;

/// What a mount's destination must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Folder,
    File,
}

/// The root of a file system in which paths are resolved.
pub(super) struct Rootfs {
    root: OwnedFd,
}

impl Rootfs {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { root: openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())? })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// What is at a path, links followed inside of the root.
    pub(super) fn find(&self, path: &str) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH, ResolveFlags::empty())
    }

    /// The same, where no part of the path may be a link.
    pub(super) fn find_without_links(&self, path: &str) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH, ResolveFlags::NO_SYMLINKS)
    }

    /// A regular file, for reading.
    pub(super) fn open_regular(&self, path: &str) -> io::Result<std::fs::File> {
        // A FIFO would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        if !is_kind(&self.find(path)?, FileType::RegularFile)? {
            return Err(Errno::INVAL.into());
        }
        Ok(self.resolve(path, flags, ResolveFlags::empty())?.into())
    }

    fn resolve(&self, path: &str, flags: OFlags, resolve: ResolveFlags) -> io::Result<OwnedFd> {
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
    }

    /// What is at a path, made where it is missing, and whether it was there before.
    pub(super) fn make(&self, path: &str, shape: Shape) -> io::Result<(OwnedFd, bool)> {
        match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return Ok((found?, true)),
        }
        let mut rest: VecDeque<String> = parts(path).collect();
        let mut here = PathBuf::from("/");
        let (mut links, mut steps) = (0, 0);
        while let Some(part) = rest.pop_front() {
            steps += 1;
            if steps > MAX_PARTS {
                return Err(Errno::NAMETOOLONG.into());
            }
            if part == ".." {
                here.pop();
                continue;
            }
            let shape = if rest.is_empty() { shape } else { Shape::Folder };
            let found = self.step(&here, &part, shape)?;
            if is_kind(&found, FileType::Symlink)? {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let target = readlinkat(&found, "", Vec::new())?;
                let target = target.to_str().map_err(|_| io::Error::from(Errno::ILSEQ))?.to_owned();
                if target.starts_with('/') {
                    here = PathBuf::from("/");
                }
                parts(&target).rev().for_each(|part| rest.push_front(part));
            } else {
                here.push(part);
            }
        }
        let path = here.to_str().ok_or(Errno::ILSEQ)?;
        Ok((self.find_without_links(path)?, false))
    }

    /// One part of a path below a folder that is reached without links: what is there, or a new one. A link is returned
    /// as such.
    fn step(&self, here: &Path, part: &str, shape: Shape) -> io::Result<OwnedFd> {
        let folder = self.find_without_links(here.to_str().ok_or(Errno::ILSEQ)?)?;
        let open = || {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat2(&folder, part, flags, Mode::empty(), ResolveFlags::BENEATH)
        };
        match open() {
            Err(Errno::NOENT) => {}
            found => return Ok(found?),
        }
        match shape {
            Shape::Folder => mkdirat(&folder, part, Mode::from_raw_mode(0o755))?,
            Shape::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                drop(openat(&folder, part, flags, Mode::from_raw_mode(0o755))?);
            }
        }
        Ok(open()?)
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned)
}

pub(super) fn is_kind(file: impl AsFd, kind: FileType) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode) == kind)
}

/// A path to what a descriptor names, for calls that take paths only. It holds in the caller's own view of the host,
/// where /proc is the host's.
pub(super) fn path_of(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    struct Image {
        folder: tempfile::TempDir,
        rootfs: Rootfs,
    }

    fn image() -> Image {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("rootfs/etc")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        let rootfs = Rootfs::open(&folder.path().join("rootfs")).unwrap();
        Image { folder, rootfs }
    }

    impl Image {
        fn path(&self, path: &str) -> PathBuf {
            self.folder.path().join("rootfs").join(path)
        }
        fn nothing_is_outside(&self) {
            assert_eq!(fs::read_dir(self.folder.path().join("outside")).unwrap().count(), 0);
            assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn missing_folders_and_files_are_made() {
        let image = image();
        let (_, existed) = image.rootfs.make("/a/./b//c", Shape::Folder).unwrap();
        assert!(!existed && image.path("a/b/c").is_dir());
        assert!(image.rootfs.make("/a/b/c", Shape::Folder).unwrap().1);
        image.rootfs.make("/etc/x/hosts", Shape::File).unwrap();
        assert!(image.path("etc/x/hosts").is_file());
        image.rootfs.make("../../../up/../top", Shape::Folder).unwrap();
        assert!(image.path("top").is_dir());
        image.nothing_is_outside();
    }

    #[test]
    fn links_lead_nowhere_but_into_the_root() {
        let image = image();
        let outside = image.folder.path().join("outside");
        symlink(&outside, image.path("absolute")).unwrap();
        symlink("../outside", image.path("relative")).unwrap();
        symlink("../../../../../../../../../../outside", image.path("far")).unwrap();
        symlink("/absolute", image.path("twice")).unwrap();
        for link in ["absolute", "relative", "far", "twice"] {
            image.rootfs.make(&format!("/{link}/made"), Shape::Folder).unwrap();
            image.rootfs.make(&format!("/{link}/file"), Shape::File).unwrap();
        }
        image.nothing_is_outside();
        assert!(image.path("outside/made").is_dir(), "resolved in the root");
    }

    #[test]
    fn a_link_to_itself_ends_and_one_to_the_kernels_own_is_refused() {
        let image = image();
        symlink("loop", image.path("loop")).unwrap();
        assert!(image.rootfs.make("/loop/x", Shape::Folder).is_err());
        symlink("/proc/self/root", image.path("magic")).unwrap();
        image.rootfs.make("/magic/x", Shape::Folder).unwrap();
        assert!(image.path("proc/self/root/x").is_dir(), "a name like any other");
        assert!(image.rootfs.find_without_links("/loop").is_err());
    }

    #[test]
    fn only_regular_files_are_read() {
        let image = image();
        fs::write(image.path("etc/passwd"), "x").unwrap();
        rustix::fs::mkfifoat(CWD, image.path("etc/fifo"), Mode::RWXU).unwrap();
        assert!(image.rootfs.open_regular("/etc/passwd").is_ok());
        assert!(image.rootfs.open_regular("/etc/fifo").is_err());
        assert!(image.rootfs.open_regular("/etc").is_err());
    }
}
