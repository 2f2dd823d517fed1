//! Links of the documents to files that are not there.

use std::path::{Component, Path, PathBuf};

use super::Tree;

/// Names every relative link of a Markdown file that leads to nothing in the repository.
pub(super) fn dead(tree: &Tree) -> Vec<String> {
    let documents = tree.texts().filter(|(path, _)| path.extension().is_some_and(|end| end == "md"));
    documents.flat_map(|(path, text)| of_document(tree, path, text)).collect()
}

fn of_document(tree: &Tree, path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| is_dead(tree, path, link)) {
            found.push(format!("{}:{}: the link {link:?} leads to no file", path.display(), index + 1));
        }
    }
    found
}

fn is_dead(tree: &Tree, document: &Path, link: &str) -> bool {
    let target = link.split('#').next().unwrap_or_default();
    if target.is_empty() || target.contains(':') {
        return false;
    }
    match resolve(document.parent().unwrap_or(Path::new("")), Path::new(target)) {
        Some(file) => !tree.has(&file),
        None => true,
    }
}

/// `None`: it leads out of the repository.
fn resolve(folder: &Path, target: &Path) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in target.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_links_to_nothing_are_dead() {
        let text = "[a](docs/a.md) [b](https://example.org/x) [c](#here) [d](docs/a.md#part)\n[e](docs/) [f](docs/b.md)\n\
                    ```\n[g](nowhere)\n```\n[h](../outside.md)\n";
        let tree = Tree::of(&[("README.md", text), ("docs/a.md", "[up](../README.md)")]);
        assert_eq!(
            dead(&tree),
            ["README.md:2: the link \"docs/b.md\" leads to no file", "README.md:6: the link \"../outside.md\" leads to no file"]
        );
    }
}
