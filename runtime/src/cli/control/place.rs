//! Where the control sockets of `perigee run` lie: a folder that only their user can enter.
//!
//! ```text
//! $XDG_RUNTIME_DIR/perigee/ or /tmp/perigee-UID/   0700, the user's own: else nothing is listened on, nor asked
//!     PID.NAME                                     a running app; removed at its end, or by who finds nobody there
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

/// Characters of an app's name in that of its socket.
const MAX_NAME: usize = 63;

/// The folder, opened: whoever replaces it afterwards changes nothing.
pub(in crate::cli) struct Place {
    folder: File,
    path: PathBuf,
}

/// The socket of an app, removed when dropped.
pub(in crate::cli) struct Bound {
    place: Place,
    name: String,
}

/// A running app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) name: String,
}

impl Place {
    /// Opens the folder of the user who runs this, and makes it where it is missing.
    pub(in crate::cli) fn open() -> anyhow::Result<Self> {
        let user = nix::unistd::geteuid().as_raw();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let path = runtime.map_or_else(|| PathBuf::from(format!("/tmp/perigee-{user}")), |runtime| runtime.join("perigee"));
        Self::open_at(path, user)
    }

    fn open_at(path: PathBuf, user: u32) -> anyhow::Result<Self> {
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("the folder {} cannot be made", path.display()));
            }
            _ => {}
        }
        // In /tmp, anybody could have been first.
        let folder = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(&path);
        let folder = folder.with_context(|| format!("the folder {} cannot be opened", path.display()))?;
        let found = folder.metadata().with_context(|| path.display().to_string())?;
        ensure!(
            found.uid() == user && found.mode().trailing_zeros() >= 6,
            "{}: others may enter this folder, so no control socket is in it: `chmod 700` it, if it is yours",
            path.display()
        );
        Ok(Self { folder, path })
    }

    /// Listens for an app of this process.
    pub(in crate::cli) fn bind(self, app: &str) -> io::Result<(UnixListener, Bound)> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let app: String = app.chars().take(MAX_NAME).map(plain).collect();
        let name = format!("{}.{app}", std::process::id());
        // It gets its name when it listens. Before, who connects is refused, and would remove it as one of a killed app.
        let unnamed = format!(".{name}");
        // Of an earlier process with this number.
        fs::remove_file(self.within(&unnamed)).unwrap_or_default();
        let listener = UnixListener::bind(self.within(&unnamed))?;
        fs::rename(self.within(&unnamed), self.within(&name))?;
        listener.set_nonblocking(true)?;
        Ok((listener, Bound { place: self, name }))
    }

    /// Connects to the app of that name or process; to the only one where none is named.
    pub(super) fn connect(&self, app: Option<&str>) -> anyhow::Result<UnixStream> {
        let mut found = Vec::new();
        for running in self.running()? {
            let path = self.within(&format!("{}.{}", running.pid, running.name));
            match UnixStream::connect(&path) {
                Ok(stream) => found.push((running, stream)),
                // Its process was killed, and could not remove it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(&path).unwrap_or_default(),
                Err(error) => return Err(error).with_context(|| format!("the app {} ({})", running.name, running.pid)),
            }
        }
        let list = |found: &[(Running, UnixStream)]| {
            let apps = found.iter().map(|(running, _)| format!("{} (process {})", running.name, running.pid));
            apps.collect::<Vec<_>>().join(", ")
        };
        let all = list(&found);
        if let Some(app) = app {
            found.retain(|(running, _)| running.name == app || running.pid.to_string() == app);
        }
        match (found.len(), app) {
            (1, _) => {}
            (0, _) if all.is_empty() => bail!("no app runs here: start one with `perigee run`"),
            (0, app) => bail!("no app {} runs here; there are {all}", app.unwrap_or_default()),
            (_, None) => bail!("several apps run here: name one with --app: {all}"),
            (_, Some(_)) => bail!("several apps of that name run here: name one by its process with --app: {}", list(&found)),
        }
        let (_, stream) = found.remove(0);
        Ok(stream)
    }

    fn running(&self) -> anyhow::Result<Vec<Running>> {
        let entries = fs::read_dir(self.within(".")).with_context(|| format!("{} cannot be read", self.path.display()))?;
        let mut running: Vec<_> = entries.flatten().filter_map(|entry| parse(entry.file_name().to_str()?)).collect();
        running.sort_by_key(|one| one.pid);
        Ok(running)
    }

    /// A path by the opened folder: short enough for a socket, whose path has 107 bytes at most.
    fn within(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Somebody may have tidied up.
        fs::remove_file(self.place.within(&self.name)).unwrap_or_default();
    }
}

fn parse(name: &str) -> Option<Running> {
    let (pid, name) = name.split_once('.')?;
    Some(Running { pid: pid.parse().ok()?, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn user() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn place(folder: &tempfile::TempDir) -> Place {
        // Longer than a socket's path may be.
        let path = folder.path().join("x".repeat(200));
        Place::open_at(path, user()).unwrap()
    }

    #[test]
    fn an_app_is_found_by_name_by_process_and_where_it_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let pid = std::process::id().to_string();
        assert!(place(&folder).connect(None).unwrap_err().to_string().contains("no app runs here"));
        let (_listener, bound) = place(&folder).bind("my shop").unwrap();
        for app in [None, Some("my-shop"), Some(&*pid)] {
            place(&folder).connect(app).unwrap();
        }
        let error = place(&folder).connect(Some("other")).unwrap_err().to_string();
        assert!(error.contains("my-shop (process "), "{error}");
        let (_second, bound_too) = place(&folder).bind("second").unwrap();
        let error = place(&folder).connect(None).unwrap_err().to_string();
        assert!(error.contains("name one with --app: ") && error.contains("second"), "{error}");
        drop((bound, bound_too));
        assert_eq!(place(&folder).running().unwrap(), []);
    }

    #[test]
    fn what_a_killed_app_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, bound) = place(&folder).bind("gone").unwrap();
        std::mem::forget(bound);
        drop(listener);
        assert!(place(&folder).connect(None).is_err());
        assert_eq!(place(&folder).running().unwrap(), []);
    }

    #[test]
    fn an_app_that_begins_is_not_taken_for_one_that_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut lost, done) = (0, AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(place(&folder).connect(None));
                }
            });
            for app in 0..5000 {
                let (_listener, bound) = place(&folder).bind(&app.to_string()).unwrap();
                // Time for who was refused to remove it.
                std::thread::yield_now();
                lost += u32::from(!fs::exists(bound.place.within(&bound.name)).unwrap());
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(lost, 0);
    }

    #[test]
    fn a_folder_that_others_may_enter_or_have_made_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o750)).unwrap();
        let link = folder.path().join("link");
        symlink(folder.path(), &link).unwrap();
        for (path, user) in [(open, user()), (link, user()), (folder.path().to_owned(), user() + 1)] {
            assert!(Place::open_at(path.clone(), user).is_err(), "{}", path.display());
        }
    }
}
