//! Guest programs that no test runs.

use std::path::Path;

use super::Tree;

const LIST: &str = "tests/guests/guests.txt";
/// Folders of the tests that run them.
const TESTS: [&str; 2] = ["tests/it", "runtime/tests"];

/// Names every program of the list that occurs in no test.
pub(super) fn untested(tree: &Tree) -> Vec<String> {
    let list = tree.text(LIST).unwrap_or_default();
    let programs = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.trim().split_once(' '));
    let in_no_test = programs.filter(|(name, about)| !occurs(tree, name, about));
    in_no_test.map(|(name, _)| format!("{LIST}: no test in {} runs {name}", TESTS.join(" or "))).collect()
}

/// As a text, as a module, or, for an example, by its folder.
fn occurs(tree: &Tree, name: &str, about: &str) -> bool {
    let mut forms = vec![format!("\"{name}\""), format!("{name}.wasm")];
    forms.extend(about.trim().starts_with("examples/").then(|| about.trim().to_owned()));
    let is_test = |path: &Path| TESTS.iter().any(|folder| path.starts_with(folder));
    tree.texts().any(|(path, text)| is_test(path) && forms.iter().any(|form| text.contains(form)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_a_test_is_named() {
        let tree = Tree::of(&[
            (LIST, "# Programs\n\nhello   prints\nlisten  listens\ngreeter  examples/hello\nlonely  is alone\n"),
            ("runtime/tests/it/run.rs", "run(\"hello\"); let app = \"module: listen.wasm\"; lonely();"),
            ("tests/it/example.rs", "open(\"examples/hello/app.yaml\")"),
            ("shim/src/lib.rs", "\"lonely\""),
        ]);
        assert_eq!(untested(&tree), ["tests/guests/guests.txt: no test in tests/it or runtime/tests runs lonely"]);
    }
}
