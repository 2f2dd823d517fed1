//! The few forms that files of cgroups have. What cannot be read is 0: a controller may be missing, and the cgroup gone.

use std::{fs, path::Path};

pub(super) fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_default()
}

/// A file with one number. `max` is no number.
pub(super) fn number(folder: &Path, file: &str) -> u64 {
    read(folder, file).trim().parse().unwrap_or(0)
}

/// The value in a line `key value`.
pub(super) fn keyed(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// A folder with such files.
#[cfg(test)]
pub(super) fn fake(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}
