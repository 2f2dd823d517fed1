//! The cgroup in which a pod's modules are compiled: beside the container's own, so that the pod's limits hold and its
//! account is charged.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Controllers of version 1 that account for what compiling takes.
const CONTROLLERS: [&str; 4] = ["memory", "cpu,cpuacct", "cpu", "pids"];

/// Where it will be.
pub(crate) struct CompileCgroup {
    root: PathBuf,
    /// Relative to the root of a hierarchy.
    path: PathBuf,
}

/// Folders that exist as long as this does.
pub(crate) struct Made {
    files: Vec<PathBuf>,
    /// In the order of their making.
    folders: Vec<PathBuf>,
}

impl CompileCgroup {
    /// Beside the cgroup of the container, in the form of `config.json`. `None` when that says nothing of a pod.
    pub(crate) fn beside(cgroups_path: &str, id: &str) -> Option<Self> {
        let parent = match cgroups_path.split(':').collect::<Vec<_>>()[..] {
            // The form of the systemd driver.
            [slice, _, _] => expand_slice(slice)?,
            [path] => Path::new(path.strip_prefix('/')?).parent()?.to_owned(),
            _ => return None,
        };
        let plain = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let named = !parent.as_os_str().is_empty() && plain(&parent);
        let path = parent.join(format!("perigee-compile-{id}"));
        named.then(|| Self { root: "/sys/fs/cgroup".into(), path })
    }

    pub(crate) fn make(&self) -> io::Result<Made> {
        let mut made = Made { files: Vec::new(), folders: Vec::new() };
        if self.root.join("cgroup.controllers").exists() {
            made.folder(&self.root, &self.path, "cgroup.procs")?;
            return Ok(made);
        }
        for hierarchy in CONTROLLERS.map(|controller| self.root.join(controller)) {
            // One of the names may be a link to another.
            if hierarchy.is_dir() && !hierarchy.is_symlink() {
                // A process of one thread joins by `tasks` at once; by `cgroup.procs` the kernel waits for milliseconds.
                made.folder(&hierarchy, &self.path, "tasks")?;
            }
        }
        if made.files.is_empty() { Err(io::Error::other("no cgroups that account for memory")) } else { Ok(made) }
    }
}

impl Made {
    fn folder(&mut self, root: &Path, path: &Path, file: &str) -> io::Result<()> {
        let mut folder = root.to_owned();
        for part in path {
            folder.push(part);
            match fs::create_dir(&folder) {
                Ok(()) => self.folders.push(folder.clone()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        self.files.push(folder.join(file));
        Ok(())
    }

    /// What a process writes 0 to in order to join.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.folders.iter().rev() {
            // One that somebody else uses by now stays.
            if let Err(error) = fs::remove_dir(folder) {
                log::debug!("{}: {error}", folder.display());
            }
        }
    }
}

/// `a-b.slice` is in `a.slice`, as systemd has it.
fn expand_slice(slice: &str) -> Option<PathBuf> {
    let name = slice.strip_suffix(".slice").filter(|name| !name.is_empty() && !name.contains('/'))?;
    let mut path = PathBuf::new();
    for (at, _) in name.match_indices('-') {
        path.push(format!("{}.slice", name.get(..at)?));
    }
    path.push(slice);
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(cgroups_path: &str) -> Option<String> {
        CompileCgroup::beside(cgroups_path, "c").map(|cgroup| cgroup.path.to_str().unwrap().to_owned())
    }

    #[test]
    fn it_is_below_the_pods_in_either_drivers_form() {
        assert_eq!(path("/kubepods/burstable/podX/abc").as_deref(), Some("kubepods/burstable/podX/perigee-compile-c"));
        assert_eq!(
            path("kubepods-burstable-podX.slice:cri-containerd:abc").as_deref(),
            Some("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX.slice/perigee-compile-c")
        );
        for unknown in ["", "abc", "/abc", "/../../x/abc", "a:b", "x/y.slice:a:b", ".slice:a:b"] {
            assert_eq!(path(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_was_made_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "").unwrap();
        fs::create_dir_all(root.path().join("kubepods")).unwrap();
        let cgroup = CompileCgroup { root: root.path().to_owned(), path: "kubepods/podX/c".into() };
        let made = cgroup.make().unwrap();
        assert_eq!(made.files(), [root.path().join("kubepods/podX/c/cgroup.procs")]);
        assert!(root.path().join("kubepods/podX/c").is_dir());
        drop(made);
        assert!(root.path().join("kubepods").is_dir() && !root.path().join("kubepods/podX").exists());
    }
}
