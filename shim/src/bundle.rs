//! The folder that containerd made for one container: `config.json`, the root file system, and what Perigee adds.
//!
//! ```text
//! <bundle>/config.json     the OCI specification; rewritten for a Wasm container
//!          rootfs/         where the image is mounted
//!          work -> ...     the container's folder on disk (the bundle itself is usually on a ramdisk)
//!          perigee/        /.perigee of a Wasm container: app.json, and mount points for what is below
//!          perigee/perigee      the worker is mounted over it
//!          perigee/code/CLASS   compiled code of that class's module is mounted over it
//!          perigee/modules/     modules of an artifact, from <work>/modules
//!          control/        the worker's control socket, which is in no container
//! ```

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
};

use containerd_shim::{mount, protos::api::Mount};
use rustix::{io::Errno, mount::UnmountFlags};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::error::ShimError;

/// More mounts than a root file system ever has on top of one another.
const MAX_LAYERED_MOUNTS: usize = 64;

/// A container's bundle.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    path: PathBuf,
}

impl Bundle {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// What becomes `/.perigee` in a Wasm container.
    pub(crate) fn perigee(&self) -> PathBuf {
        self.path.join("perigee")
    }

    /// Where the modules of an artifact are written: on disk, because memory of the bundle's ramdisk would be charged to
    /// nobody.
    pub(crate) fn modules(&self) -> PathBuf {
        let work = self.path.join("work");
        let folder = if work.is_dir() { work } else { self.path.clone() };
        folder.join("modules")
    }

    pub(crate) fn config(&self) -> Result<Value, ShimError> {
        let path = self.path.join("config.json");
        let text = fs::read(&path).map_err(ShimError::io(path.display().to_string()))?;
        serde_json::from_slice(&text).map_err(|error| ShimError::io(path.display().to_string())(error.into()))
    }

    /// Replaces `config.json` as a whole, so that nobody reads half of it.
    pub(crate) fn write_config(&self, config: &Value) -> Result<(), ShimError> {
        let (new, path) = (self.path.join("config.json.new"), self.path.join("config.json"));
        let written = serde_json::to_vec(config).map_err(io::Error::from).and_then(|text| fs::write(&new, text));
        written.and_then(|()| fs::rename(&new, &path)).map_err(ShimError::io(path.display().to_string()))
    }

    /// Makes `perigee/` with the app's specification. Readable by any user that the container may run as.
    pub(crate) fn write_perigee(&self, app: &str, with_modules: bool) -> Result<(), ShimError> {
        let folder = self.perigee();
        let write = || {
            make_folder(&folder)?;
            fs::write(folder.join("app.json"), app)?;
            fs::write(folder.join("perigee"), "")?;
            if with_modules {
                make_folder(&folder.join("modules"))?;
            }
            Ok(())
        };
        write().map_err(ShimError::io(folder.display().to_string()))
    }

    /// Makes the mount points of compiled code, one for each class that has some.
    pub(crate) fn write_code<'a>(&self, classes: impl Iterator<Item = &'a str>) -> Result<(), ShimError> {
        let folder = self.perigee().join("code");
        let mut classes = classes.peekable();
        let mut write = || {
            if classes.peek().is_some() {
                make_folder(&folder)?;
            }
            classes.try_for_each(|class| fs::write(folder.join(class), ""))
        };
        write().map_err(ShimError::io(folder.display().to_string()))
    }

    /// Mounts the image. `mount(2)` of a long list of layers changes the calling thread's working directory, so the
    /// thread is one of its own.
    pub(crate) async fn mount(&self, mounts: &[Mount]) -> Result<(), ShimError> {
        if mounts.is_empty() {
            return Ok(());
        }
        let (mounts, target) = (mounts.to_vec(), self.rootfs());
        let (told, outcome) = oneshot::channel();
        let thread = thread::Builder::new().name("mount".to_owned()).spawn(move || {
            let mounted = mounts.iter().try_for_each(|one| {
                let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                mount::mount_rootfs(some(&one.type_).as_deref(), some(&one.source).as_deref(), &one.options, &target)
            });
            // The call that waits for it may be gone.
            drop(told.send(mounted));
        });
        thread.map_err(ShimError::io("a thread for mounting"))?;
        match outcome.await {
            Ok(mounted) => mounted.map_err(ShimError::library("mounting the image")),
            Err(_) => Err(ShimError::Panicked("mounting the image")),
        }
    }

    /// Unmounts the image. A mount that is still in use is detached: it goes when its last user does.
    pub(crate) fn unmount(&self) -> Result<(), ShimError> {
        let rootfs = self.rootfs();
        for _ in 0..MAX_LAYERED_MOUNTS {
            match rustix::mount::unmount(&rootfs, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH) {
                Ok(()) => {}
                // Not (or no longer) a mount point, or never made.
                Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
                Err(error) => return Err(ShimError::io(format!("unmounting {}", rootfs.display()))(error.into())),
            }
        }
        Ok(())
    }

    /// Removes what Perigee added. Failing is no harm: containerd removes the bundle as a whole.
    pub(crate) fn clean(&self) {
        for folder in [self.modules(), self.perigee(), self.path.join("control")] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => log::warn!("{}: {error}", folder.display()),
                _ => {}
            }
        }
    }
}

/// Makes a folder that everybody can enter and read, whatever the umask.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmounting_what_is_no_mount_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle::new(folder.path());
        bundle.unmount().unwrap();
        fs::create_dir(bundle.rootfs()).unwrap();
        bundle.unmount().unwrap();
    }

    #[test]
    fn modules_go_to_the_folder_on_disk_when_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle::new(folder.path());
        assert_eq!(bundle.modules(), folder.path().join("modules"));
        fs::create_dir(folder.path().join("work")).unwrap();
        assert_eq!(bundle.modules(), folder.path().join("work/modules"));
    }
}
