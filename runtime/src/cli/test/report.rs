//! What is printed of a run of tests: the lines of Rust's own harness, which people and tools know.

use std::io::{self, Write};
use std::time::Duration;

use super::case::Case;

/// How a test ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) case: Case,
    /// What went wrong; `None`: it passed.
    pub(super) failure: Option<String>,
    /// What it and its children wrote, where that was kept.
    pub(super) written: Vec<u8>,
}

/// Prints as the tests end, and counts.
pub(super) struct Report<W> {
    out: W,
    show_output: bool,
    passed: Vec<Outcome>,
    failed: Vec<Outcome>,
    ignored: usize,
}

impl<W: Write> Report<W> {
    pub(super) fn start(mut out: W, tests: usize, show_output: bool) -> io::Result<Self> {
        writeln!(out, "\nrunning {tests} test{}", plural(tests))?;
        Ok(Self { out, show_output, passed: Vec::new(), failed: Vec::new(), ignored: 0 })
    }

    pub(super) fn ignore(&mut self, case: &Case) -> io::Result<()> {
        self.ignored += 1;
        writeln!(self.out, "test {} ... ignored", case.title())
    }

    pub(super) fn add(&mut self, outcome: Outcome) -> io::Result<()> {
        let word = if outcome.failure.is_none() { "ok" } else { "FAILED" };
        writeln!(self.out, "test {} ... {word}", outcome.case.title())?;
        self.out.flush()?;
        if outcome.failure.is_none() {
            self.passed.push(outcome)
        } else {
            self.failed.push(outcome)
        }
        Ok(())
    }

    /// Prints what the failed ones left, and the sum. Whether none failed.
    pub(super) fn finish(mut self, filtered_out: usize, took: Duration) -> io::Result<bool> {
        if self.show_output {
            section(&mut self.out, "successes", &mut self.passed)?;
        }
        section(&mut self.out, "failures", &mut self.failed)?;
        let ok = self.failed.is_empty();
        writeln!(
            self.out,
            "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; {filtered_out} filtered out; finished in {:.2}s\n",
            if ok { "ok" } else { "FAILED" },
            self.passed.len(),
            self.failed.len(),
            self.ignored,
            took.as_secs_f64(),
        )?;
        self.out.flush()?;
        Ok(ok)
    }
}

pub(super) fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// What the tests wrote, then their names.
fn section(out: &mut impl Write, title: &str, outcomes: &mut [Outcome]) -> io::Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    outcomes.sort_by(|one, other| one.case.name.cmp(&other.case.name));
    writeln!(out, "\n{title}:")?;
    for outcome in outcomes.iter() {
        let failure = outcome.failure.as_deref().unwrap_or_default();
        if outcome.written.is_empty() && failure.is_empty() {
            continue;
        }
        writeln!(out, "\n---- {} stdout ----", outcome.case.name)?;
        out.write_all(&outcome.written)?;
        if !failure.is_empty() {
            writeln!(out, "{failure}")?;
        }
    }
    writeln!(out, "\n\n{title}:")?;
    for outcome in outcomes {
        writeln!(out, "    {}", outcome.case.name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_that_of_rusts_harness() {
        let case = |export: &str| Case::parse(export).unwrap();
        let mut out = Vec::new();
        let mut report = Report::start(&mut out, 3, false).unwrap();
        report.ignore(&case("#lunatic_test_#ignore_c")).unwrap();
        let outcome = |export, failure: Option<&str>| Outcome {
            case: case(export),
            failure: failure.map(str::to_owned),
            written: b"seen\n".to_vec(),
        };
        report.add(outcome("#lunatic_test_a", None)).unwrap();
        report.add(outcome("#lunatic_test_#panic_#b", Some("note: test did not panic as expected"))).unwrap();
        assert!(!report.finish(2, Duration::from_millis(1_230)).unwrap());
        let expected = "
running 3 tests
test c ... ignored
test a ... ok
test b - should panic ... FAILED

failures:

---- b stdout ----
seen
note: test did not panic as expected


failures:
    b

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 2 filtered out; finished in 1.23s

";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
