//! The crate's test suite, run by cargo as its users run it.

use anyhow::{Context, Result, ensure};
use perigee_e2e::built;

use crate::lunatic;

/// Tests of the suite that need nothing outside of this machine. Three more open a connection to a host on the Internet.
const TESTS: u64 = 117;
const ONLINE: [&str; 3] = ["bincode_resource_serialization", "json_resource_serialization", "msgpack_resource_serialization"];

#[test]
fn the_suite_of_the_crate_lunatic_passes() -> Result<()> {
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
    let results = stdout.lines().filter(|line| line.starts_with("test result: "));
    let numbers = results.filter_map(|line| {
        line.split("; ").chain(line.split(". ")).find_map(|part| part.strip_suffix(word)?.parse::<u64>().ok())
    });
    numbers.sum::<u64>()
}
