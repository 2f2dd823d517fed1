//! Promises of docs/semantics.md: each is an item of a list, and links to the tests that show it.

use std::path::Path;

use super::Tree;

/// The document of promises.
const DOCUMENT: &str = "docs/semantics.md";

/// Names every promise without a test, and every test that is not where its link says.
pub(super) fn unkept(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text(DOCUMENT) else { return vec![format!("{DOCUMENT} is missing")] };
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("- ")) {
        let tests: Vec<_> = line.split("[`").skip(1).filter_map(test).collect();
        if tests.is_empty() {
            found.push(format!(
                "{DOCUMENT}:{}: a promise without a test: end it with [`name_of_the_test`](../path.rs)",
                index + 1
            ));
        }
        for (name, path) in tests {
            let source = path.strip_prefix("../").and_then(|path| tree.text(path));
            if !source.is_some_and(|source| source.contains(&format!("fn {name}("))) {
                found.push(format!("{DOCUMENT}:{}: no test {name} in {}", index + 1, Path::new(path).display()));
            }
        }
    }
    found
}

/// Name and file, of "name`](file) …".
fn test(rest: &str) -> Option<(&str, &str)> {
    let (name, rest) = rest.split_once("`](")?;
    let (path, _) = rest.split_once(')')?;
    path.ends_with(".rs").then_some((name, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_needs_a_test_that_exists() {
        let text = "# A\n\nText.\n\n- Kept. [`it_is`](../a.rs)\n- Broken. [`it_is_not`](../a.rs)\n- Alone ([b](b.md)).\n";
        let found = unkept(&Tree::of(&[(DOCUMENT, text), ("a.rs", "fn it_is() {}")]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("6: no test it_is_not") && found[1].contains("7: a promise without"), "{found:?}");
    }
}
