//! One test: what the name of its export says, and what its end means.
//!
//! The attribute `lunatic::test` exports each test as `#lunatic_test_`, then `#ignore_` for one that is ignored, then
//! `#panic_EXPECTED#` for one that should panic (`#` in the expected text is written `\#`), then the function's path.

use perigee_runtime::AppExit;

const TEST: &str = "#lunatic_test_";
const IGNORE: &str = "#ignore_";
const PANIC: &str = "#panic_";
/// What Rust writes between the name of a panicking thread and the rest.
const PANICKED_AT: &str = " panicked at ";

/// A test of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    /// The module's function.
    pub(super) export: String,
    /// The path of the test.
    pub(super) name: String,
    pub(super) ignored: bool,
    /// It should panic, with a message that has this in it.
    pub(super) panics: Option<String>,
}

/// Whether these are the bytes of a module with tests.
pub(in crate::cli) fn has_tests(module: &[u8]) -> bool {
    memchr::memmem::find(module, TEST.as_bytes()).is_some()
}

impl Case {
    /// `None`: the function is no test.
    pub(super) fn parse(export: &str) -> Option<Self> {
        let rest = export.strip_prefix(TEST)?;
        let (ignored, rest) = rest.strip_prefix(IGNORE).map_or((false, rest), |rest| (true, rest));
        let (panics, name) = match rest.strip_prefix(PANIC) {
            Some(rest) => {
                let (expected, name) = expected(rest)?;
                (Some(expected), name)
            }
            None => (None, rest),
        };
        Some(Self { export: export.to_owned(), name: name.to_owned(), ignored, panics })
    }

    /// As it is listed while it runs.
    pub(super) fn title(&self) -> String {
        let panics = if self.panics.is_some() { " - should panic" } else { "" };
        format!("{}{panics}", self.name)
    }

    /// What went wrong; `None`: it passed.
    pub(super) fn judge(&self, exit: &AppExit, stderr: &str) -> Option<String> {
        let Some(expected) = &self.panics else { return exit.message.clone() };
        if exit.code == 0 {
            return Some("note: test did not panic as expected".to_owned());
        }
        let last_words = exit.message.as_deref().unwrap_or_default();
        if panics(stderr).chain([last_words.to_owned()]).any(|message| message.contains(expected.as_str())) {
            return None;
        }
        Some(format!("note: it ended, but not with a panic whose message has {expected:?} in it\n{last_words}"))
    }
}

/// The text before the first `#` without a backslash, and what follows.
fn expected(text: &str) -> Option<(String, &str)> {
    let mut expected = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.as_str().starts_with('#') => {
                chars.next();
                expected.push('#');
            }
            '#' => return Some((expected, chars.as_str())),
            other => expected.push(other),
        }
    }
    None
}

/// The messages of panics: since Rust 1.73 on the lines behind the place, before in quotes in front of it.
fn panics(stderr: &str) -> impl Iterator<Item = String> {
    stderr.split(PANICKED_AT).skip(1).map(|text| {
        let end = text.find("\nnote: ").or_else(|| text.rfind("\nthread '")).unwrap_or(text.len());
        let text = text.get(..end).unwrap_or(text);
        match text.strip_prefix('\'').and_then(|quoted| quoted.rsplit_once("', ")) {
            Some((message, _)) => message.to_owned(),
            None => text.split_once('\n').map_or(text, |(_, message)| message).to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: u8) -> AppExit {
        AppExit { code, message: (code != 0).then(|| "actor 1 trapped".to_owned()) }
    }

    #[test]
    fn the_name_of_an_export_says_what_a_test_expects() {
        let parse = |export: &str| Case::parse(export).map(|case| (case.name, case.ignored, case.panics));
        assert_eq!(parse("_start"), None);
        assert_eq!(parse("#lunatic_test_a::b"), Some(("a::b".into(), false, None)));
        assert_eq!(parse("#lunatic_test_#ignore_a"), Some(("a".into(), true, None)));
        assert_eq!(parse("#lunatic_test_#panic_#a"), Some(("a".into(), false, Some(String::new()))));
        assert_eq!(parse(r"#lunatic_test_#ignore_#panic_no \#1#a"), Some(("a".into(), true, Some("no #1".into()))));
    }

    #[test]
    fn a_test_passes_when_it_ends_as_it_should() {
        let plain = Case::parse("#lunatic_test_a").unwrap();
        assert_eq!(plain.judge(&exit(0), ""), None);
        assert!(plain.judge(&exit(134), "").is_some());
        let panics = Case::parse("#lunatic_test_#panic_two of#a").unwrap();
        assert!(panics.judge(&exit(0), "").unwrap().contains("did not panic"));
        for (stderr, passes) in [
            ("thread 'main' panicked at 'one, two of three', src/lib.rs:1:2\nnote: run with", true),
            ("thread '<unnamed>' (1) panicked at src/lib.rs:1:2:\none\ntwo of three\nnote: run with", true),
            ("thread 'main' panicked at src/two of/lib.rs:1:2:\nsomething else\nnote: run with", false),
            ("", false),
        ] {
            assert_eq!(panics.judge(&exit(134), stderr).is_none(), passes, "{stderr}");
        }
    }
}
