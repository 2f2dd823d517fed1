//! An actor that never gives up the processor does not take it from the others.

use std::io::{self, Write as _};

use anyhow::{Context, Result, ensure};
use perigee_e2e::images;
use perigee_e2e::ns::alone_with_perigee;
use perigee_e2e::objects::{app, idle, once};
use serde_json::json;

/// The goal is 20 ms. Tests share their machine with whatever else runs there, so the bound is ten times that: it finds a
/// sleeper that waits behind spinners (seconds), not a loaded machine.
const BOUND_MICROSECONDS: u64 = 200_000;

#[test]
fn a_sleeper_wakes_in_time_beside_eight_endless_loops() -> Result<()> {
    alone_with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let permissions = json!({"permissions": {"spawn": ["sleeper"]}});
        let sleeper = once("sleeper", "sleeper_vs_spinners", &["8", "1000"], permissions);
        let spec = json!({"actors": [sleeper, idle()], "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "10m"}}});
        namespace.apply(&app("spinning", &image, spec))?;
        let log = namespace.wait_for_log("deployment/spinning", "max_us=")?;
        let line = log.lines().find(|line| line.contains("p99_us=")).context("no measurement")?;
        // Not by `eprintln!`, which is shown of failed tests only: the number is worth seeing.
        writeln!(io::stderr(), "\n{line}")?;
        let p99 = line.split_whitespace().find_map(|word| word.strip_prefix("p99_us=")).context("no p99")?;
        ensure!(p99.parse::<u64>()? < BOUND_MICROSECONDS, "{line}");
        Ok(())
    })
}
