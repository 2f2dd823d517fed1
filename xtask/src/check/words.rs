//! What belongs to somebody's machine or to a plan, not into the repository.

use super::Tree;

/// Texts that nothing here may contain, and why. Put together, so that this file does not contain them.
const LEFTOVERS: [(&str, &str); 4] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("../sha", "red"), "a path outside of the repository"),
    (concat!("TO", "DO"), "a plan: finish it, or write an issue"),
    (concat!("FIX", "ME"), "a plan: finish it, or write an issue"),
];

/// Names every line with one of them.
pub(super) fn leftovers(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            for (word, why) in LEFTOVERS.iter().filter(|(word, _)| stands_alone(line, word)) {
                found.push(format!("{}:{}: {word:?} is {why}", path.display(), index + 1));
            }
        }
    }
    found
}

/// Whether `word` is in `line` other than as a part of a longer word or path.
fn stands_alone(line: &str, word: &str) -> bool {
    let longer = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let ends_open = word.ends_with('/');
    line.match_indices(word).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let after = rest.chars().nth(word.chars().count());
        !before.chars().next_back().is_some_and(longer) && (ends_open || !after.is_some_and(char::is_alphanumeric))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_is_found_where_it_stands_alone() {
        let leftover = concat!("see /wo", "rk/x; // TO", "DO: y");
        let tree = Tree::of(&[("a.rs", leftover), ("b.rs", "/var/work/x GET /work?n=1 TODOS")]);
        let found = leftovers(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|line| line.starts_with("a.rs:1: ")));
    }
}
