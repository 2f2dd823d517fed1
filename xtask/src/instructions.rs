//! `cargo xtask instructions`: what one spawn and one message cost in instructions and allocations, by callgrind. Unlike
//! times they do not depend on what else the machine does, so that CI sees a change that makes a hot path longer.
//!
//! Each path runs so many times and then five times as many: the difference is free of what starting costs. They are those
//! of `--once` of runtime/benches/actors.rs: whole actors, on one thread, with the pool and the preemption of always.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, bail, ensure};

mod profile;

use profile::Profile;

/// The counts that are checked in.
const COUNTS: &str = "runtime/benches/instructions.txt";
/// How much worse a count of instructions may be than the one that is checked in, in percent. What repeated runs differ by is
/// in docs/bench; another processor or kernel may add to that.
const TOLERANCE_PERCENT: f64 = 12.0;
/// Allocations of one item are whole numbers but for what grows now and then.
const TOLERANCE_ALLOCATIONS: f64 = 0.25;
/// What runs, and how often at first.
const PATHS: [(&str, u32); 6] = [
    ("spawn_tiny", 500),
    ("spawn_rust", 500),
    ("spawn_reply", 500),
    ("ping_pong", 2_000),
    ("one_way_64", 2_000),
    ("lunatic_ping_pong", 2_000),
];
/// How many times as often then.
const TIMES: u32 = 5;
/// callgrind counts an instruction that copies many bytes once for each, and which processor has it is not our business.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM");

/// Count the instructions of the hot paths; fail when there are more than is known
///
/// Builds the benchmark of the runtime, runs each of its paths under valgrind (Debian: tests/bench/install-packages.sh), and
/// compares what one spawn and one message cost with runtime/benches/instructions.txt: 12 % more fail, and a quarter of an
/// allocation. A change that is meant is written with --write, and the commit says why; write down what got better, too.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the counts instead of comparing them
    #[arg(long)]
    write: bool,
}

/// What one item of a path costs.
#[derive(Debug, PartialEq)]
struct Cost {
    path: String,
    instructions: f64,
    allocations: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = crate::repository()?;
    let bench = build(&root)?;
    let seen = PATHS.iter().map(|(path, count)| measure(&bench, path, *count)).collect::<anyhow::Result<Vec<_>>>()?;
    let file = root.join(COUNTS);
    if args.write {
        return fs::write(&file, render(&seen)).context(COUNTS);
    }
    let known = fs::read_to_string(&file).with_context(|| format!("{COUNTS}: `cargo xtask instructions --write` makes it"))?;
    io::stdout().lock().write_all(render(&seen).as_bytes())?;
    let found = differences(&seen, &parse(&known)?);
    ensure!(
        found.is_empty(),
        "{}\nIf that is meant, `cargo xtask instructions --write`, and say why in the commit.",
        found.join("\n")
    );
    Ok(())
}

/// Builds the benchmark; returns its program.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, as everything else here: another choice of packages would compile Wasmtime anew.
    cargo.args(["bench", "--locked", "--workspace", "--bench", "actors", "--no-run", "--message-format", "json"]);
    let built = cargo.current_dir(root).stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    ensure!(built.status.success(), "the benchmark does not build");
    for line in String::from_utf8(built.stdout)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if message["target"]["name"] == "actors"
            && let Some(program) = message["executable"].as_str()
        {
            return Ok(program.into());
        }
    }
    bail!("cargo built no benchmark `actors`")
}

fn measure(bench: &Path, path: &str, count: u32) -> anyhow::Result<Cost> {
    // One beside the other: what else the machine does changes nothing.
    let more = thread::spawn({
        let (bench, path) = (bench.to_owned(), path.to_owned());
        move || profile(&bench, &path, TIMES * count)
    });
    let some = profile(bench, path, count)?;
    let Ok(more) = more.join() else { bail!("{path}: the thread that counts has panicked") };
    let more = more?;
    let each = |some: u64, more: u64| (more as f64 - some as f64) / f64::from((TIMES - 1) * count);
    Ok(Cost {
        path: path.to_owned(),
        instructions: each(some.instructions, more.instructions),
        allocations: each(some.allocations, more.allocations),
    })
}

fn profile(bench: &Path, path: &str, count: u32) -> anyhow::Result<Profile> {
    let folder = tempfile::tempdir()?;
    // Of the first thread, on which the actors run: what the thread of the clock does depends on how long it all takes.
    let out = folder.path().join("profile-01");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--separate-threads=yes"]);
    valgrind.arg(format!("--callgrind-out-file={}", folder.path().join("profile").display()));
    valgrind.arg(bench).args(["--once", path, &count.to_string()]).env(TUNABLES.0, TUNABLES.1);
    let ran = valgrind.output().context("valgrind cannot be started: tests/bench/install-packages.sh installs it")?;
    ensure!(ran.status.success(), "{path}: {}", String::from_utf8_lossy(&ran.stderr));
    let profile = Profile::parse(&fs::read_to_string(&out).with_context(|| out.display().to_string())?);
    let profile = profile.with_context(|| format!("what callgrind wrote of {path}"))?;
    ensure!(profile.pooled, "{path}: the engine went without a pool (too large for valgrind?): this would count another path");
    Ok(profile)
}

fn render(costs: &[Cost]) -> String {
    let mut text = "# What one item of each path costs. Written by `cargo xtask instructions --write`.\n".to_owned();
    text.push_str("# path       instructions  allocations\n");
    for Cost { path, instructions, allocations } in costs {
        writeln!(text, "{path:12} {instructions:12.0} {allocations:12.1}").expect("a string takes all");
    }
    text
}

fn parse(text: &str) -> anyhow::Result<Vec<Cost>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let cost = |line: &str| {
        let [path, instructions, allocations] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        Some(Cost { path: path.to_owned(), instructions: instructions.parse().ok()?, allocations: allocations.parse().ok()? })
    };
    lines.map(|line| cost(line).with_context(|| format!("{COUNTS}: {line:?}: a path and two numbers are missing"))).collect()
}

/// What to say of costs that are not the known ones.
fn differences(seen: &[Cost], known: &[Cost]) -> Vec<String> {
    let mut found: Vec<_> = seen.iter().filter_map(|cost| difference(cost, known)).collect();
    let gone = known.iter().filter(|known| !seen.iter().any(|cost| cost.path == known.path));
    found.extend(gone.map(|known| format!("{}: {COUNTS} has counts of it, but no such path is counted", known.path)));
    found
}

fn difference(seen: &Cost, known: &[Cost]) -> Option<String> {
    let path = &seen.path;
    let Some(known) = known.iter().find(|known| known.path == *path) else {
        return Some(format!("{path}: {COUNTS} has no counts of it"));
    };
    let percent = (seen.instructions / known.instructions - 1.0) * 100.0;
    // Not the other way round: no number is within a tolerance of nonsense.
    let passes = percent <= TOLERANCE_PERCENT && seen.allocations - known.allocations <= TOLERANCE_ALLOCATIONS;
    (!passes).then(|| {
        format!(
            "{path}: {:.0} instructions, {:.0} are known ({percent:+.1} %, tolerated are {TOLERANCE_PERCENT}); \
             {:.1} allocations, {:.1} are known",
            seen.instructions, known.instructions, seen.allocations, known.allocations
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(path: &str, instructions: f64, allocations: f64) -> Cost {
        Cost { path: path.to_owned(), instructions, allocations }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let costs = [cost("spawn_tiny", 12_345.0, 30.0), cost("one_way_64", 900.0, 2.5)];
        assert_eq!(parse(&render(&costs)).unwrap(), costs);
        for bad in ["spawn_tiny 5", "spawn_tiny five 6", "\n"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn at_the_tolerance_a_count_passes_and_beyond_it_does_not() {
        let known = [cost("a", 1_000.0, 10.0)];
        let passes = |instructions, allocations| differences(&[cost("a", instructions, allocations)], &known).is_empty();
        assert!(passes(1_119.0, 10.25) && passes(500.0, 5.0), "better is never too much");
        assert!(!passes(1_121.0, 10.0));
        assert!(!passes(1_000.0, 10.5));
        assert!(!passes(f64::NAN, 10.0));
    }

    #[test]
    fn a_path_is_counted_and_known_or_it_is_named() {
        let (a, b) = (|| cost("a", 1.0, 1.0), || cost("b", 1.0, 1.0));
        assert!(differences(&[a()], &[]).join("").contains("a: runtime/benches/instructions.txt has no counts of it"));
        assert!(differences(&[a()], &[a(), b()]).join("").starts_with("b: "));
    }
}
