//! Rust files that no crate compiles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Tree;

/// Names every `.rs` file that no crate root reaches by `mod`.
pub(super) fn orphans(tree: &Tree) -> Vec<String> {
    let sources: Vec<_> = tree.texts().filter(|(path, _)| path.extension().is_some_and(|end| end == "rs")).collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<PathBuf> = sources.iter().map(|(path, _)| *path).filter(|path| is_root(path)).map(Path::to_owned).collect();
    while let Some(path) = open.pop() {
        let Some(Some(text)) = tree.0.get(&path) else { continue };
        let folder = children(&path);
        for name in declared(text) {
            open.extend([folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]);
        }
        reached.insert(path);
    }
    let orphans = sources.iter().filter(|(path, _)| !reached.contains(*path));
    orphans.map(|(path, _)| format!("{}: no crate compiles it: declare it with `mod`, or delete it", path.display())).collect()
}

/// Cargo's own places for crates (of tests too, which are `main.rs` in a folder here), benchmarks, and what tests compile: `programs/`.
fn is_root(path: &Path) -> bool {
    let named = |name: Option<&std::ffi::OsStr>, names: &[&str]| name.is_some_and(|name| names.iter().any(|root| name == *root));
    named(path.file_name(), &["main.rs", "lib.rs", "build.rs"])
        || named(path.parent().and_then(Path::file_name), &["bin", "benches", "programs"])
}

/// Where the modules of a file are.
fn children(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    match path.file_stem() {
        Some(stem) if !is_root(path) && stem != "mod" => folder.join(stem),
        _ => folder.to_owned(),
    }
}

/// The names in lines such as `pub(crate) mod name;`.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (before, name) = line.split_once("mod ")?;
        let visible = before.trim();
        let declares = visible.is_empty() || visible == "pub" || (visible.starts_with("pub(") && visible.ends_with(')'));
        declares.then_some(name.trim().strip_suffix(';')?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_declares_is_an_orphan() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "mod one;\npub(crate) mod two;\n// mod three;\n"),
            ("a/src/one.rs", "pub mod deep;\n#[cfg(test)]\nmod tests;"),
            ("a/src/one/deep.rs", ""),
            ("a/src/one/tests.rs", ""),
            ("a/src/two/mod.rs", "mod x;"),
            ("a/src/two/x.rs", ""),
            ("a/src/three.rs", ""),
            ("a/src/bin/tool.rs", ""),
            ("a/tests/it/main.rs", "mod case;"),
            ("a/tests/it/case.rs", ""),
            ("a/tests/it/programs/sleep.rs", ""),
            ("a/build.rs", ""),
        ]);
        let orphans = orphans(&tree);
        assert_eq!(orphans.len(), 1, "{orphans:?}");
        assert!(orphans[0].starts_with("a/src/three.rs: "));
    }
}
