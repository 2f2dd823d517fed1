//! The crate's test suite, run by cargo as its users run it.

use anyhow::{Context, Result, bail, ensure};
use perigee_e2e::built;

use crate::lunatic;

/// Tests of the suite that need nothing outside of this machine. Three more open a connection to a host on the Internet.
const TESTS: u64 = 120;
const ONLINE: [&str; 3] = ["bincode_resource_serialization", "json_resource_serialization", "msgpack_resource_serialization"];

/// Some of its tests measure real time, down to 10 ms: a machine that does other work as well delays them now and then. One
/// run of so many has to be whole.
const RUNS: usize = 3;

#[test]
fn the_suite_of_the_crate_lunatic_passes() -> Result<()> {
    let runs = (0..RUNS).map(|_| run());
    let mut failures = Vec::new();
    for run in runs {
        match run {
            Ok(()) => return Ok(()),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    bail!("{RUNS} runs failed:\n{}", failures.join("\n\n"))
}

fn run() -> Result<()> {
    let runner = format!("{} test", built::program("perigee")?.display());
    let mut cargo = lunatic::cargo("test")?;
    cargo.args(["--no-fail-fast", "--lib", "--tests", "--"]);
    for test in ONLINE {
        cargo.args(["--skip", test]);
    }
    let ran = cargo.env("CARGO_TARGET_WASM32_WASIP1_RUNNER", runner).output().context("cargo cannot be started")?;
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    ensure!(ran.status.success(), "{}\n{stdout}\n{stderr}", ran.status);
    ensure!(count(&stdout, " passed") == TESTS, "{} passed, of {TESTS}:\n{stdout}", count(&stdout, " passed"));
    ensure!(count(&stdout, " filtered out") == ONLINE.len() as u64, "{stdout}");
    Ok(())
}

/// The sum over all test programs of the number in front of `word`.
fn count(stdout: &str, word: &str) -> u64 {
    let results = stdout.lines().filter_map(|line| line.strip_prefix("test result: "));
    let parts = results.flat_map(|line| line.split(['.', ';']));
    parts.filter_map(|part| part.trim().strip_suffix(word)?.parse::<u64>().ok()).sum()
}
