//! `cargo xtask check`: what the compiler cannot see. Each check is a pure function of the files of the work tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::{Context as _, bail, ensure};

mod guests;
mod links;
mod modules;
mod promises;
mod words;

/// The files of the work tree that git knows or would add, by path. `None`: it is no text.
struct Tree(BTreeMap<PathBuf, Option<String>>);

impl Tree {
    fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0.iter().filter_map(|(path, text)| Some((path.as_path(), text.as_deref()?)))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.0.get(Path::new(path))?.as_deref()
    }

    fn has(&self, path: &Path) -> bool {
        self.0.contains_key(path) || self.0.keys().any(|file| file.starts_with(path))
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (path.into(), Some((*text).to_owned()))).collect())
    }
}

/// Runs every check, and fails with all that they found.
pub(crate) fn run() -> anyhow::Result<()> {
    let tree = read(&crate::repository()?)?;
    let checks: [fn(&Tree) -> Vec<String>; 5] =
        [modules::orphans, guests::untested, links::dead, promises::unkept, words::leftovers];
    let found: Vec<_> = checks.iter().flat_map(|check| check(&tree)).collect();
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    Ok(())
}

fn read(root: &Path) -> anyhow::Result<Tree> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().context("git cannot be started")?;
    ensure!(listed.status.success(), "`git ls-files` failed: {}", String::from_utf8_lossy(&listed.stderr));
    let mut files = BTreeMap::new();
    for path in String::from_utf8(listed.stdout)?.split_terminator('\0') {
        match fs::read(root.join(path)) {
            Ok(bytes) => {
                files.insert(path.into(), String::from_utf8(bytes).ok());
            }
            // Deleted, and not committed yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(path.to_owned()),
        }
    }
    Ok(Tree(files))
}
