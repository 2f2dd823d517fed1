//! The actor benchmarks: guest programs that `perigee run` runs several times, and the figures that they print.
//!
//! A figure is the median of the runs, with the lowest and the highest beside it. What else the machine did at the time
//! is in them, so its load is printed too.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

mod figures;
mod machine;
mod report;

use figures::{Printed, Series};
use machine::Machine;

/// What the guests may use: the default of `limits.memory`, so that the figures are those of an app that sets nothing.
const MEMORY: &str = "16Mi";
/// Actors of `many_actors`: as many as `perigee run` gives a module.
const MANY: &str = "8000";
/// How long they then stay alive, in milliseconds, for their memory to be read.
const HOLD: &str = "300";
/// Name under which this tool adds the highest resident memory of `perigee`, in bytes.
const PEAK: &str = "peak_rss";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The `perigee` to measure
    #[arg(long, value_name = "PATH")]
    perigee: PathBuf,
    /// Folder of the guest programs [default: guests/ in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    guests: Option<PathBuf>,
    /// Runs of each program
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Form of the output
    #[arg(long, short, value_name = "FORM", default_value = "table")]
    output: Form,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    Table,
    Json,
}

/// One program with its arguments, and what is read from its output.
struct Benchmark {
    guest: &'static str,
    args: &'static [&'static str],
    figures: &'static [Figure],
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    read: fn(&Printed) -> Option<f64>,
}

const BENCHMARKS: [Benchmark; 5] = [
    Benchmark {
        guest: "spawn_reply",
        args: &["3000"],
        figures: &[
            Figure { name: "spawn + reply + end, p50", unit: "us", read: |p| p.get("p50_us") },
            Figure { name: "spawn + reply + end, p99", unit: "us", read: |p| p.get("p99_us") },
            Figure { name: "spawn + reply + end", unit: "1/s", read: |p| p.get("per_second") },
        ],
    },
    Benchmark {
        guest: "ping_pong",
        args: &["200000"],
        figures: &[Figure { name: "ping-pong round trip, mean", unit: "us", read: |p| Some(1e6 / p.get("per_second")?) }],
    },
    Benchmark {
        guest: "one_way",
        args: &["1000000"],
        figures: &[Figure { name: "one-way messages", unit: "1/s", read: |p| p.get("per_second") }],
    },
    Benchmark {
        guest: "many_actors",
        args: &[MANY, HOLD],
        figures: &[
            Figure { name: "live actors", unit: "", read: |p| p.get("alive") },
            Figure { name: "spawning live actors", unit: "1/s", read: |p| p.get("per_second") },
            Figure { name: "memory per live actor", unit: "KiB", read: |p| Some(p.get(PEAK)? / p.get("alive")? / 1024.0) },
        ],
    },
    Benchmark {
        guest: "sleeper_vs_spinners",
        args: &["8", "300"],
        figures: &[
            Figure { name: "sleep 1 ms beside 8 spinners, p50", unit: "us", read: |p| p.get("p50_us") },
            Figure { name: "sleep 1 ms beside 8 spinners, p99", unit: "us", read: |p| p.get("p99_us") },
        ],
    },
];

/// Runs them all.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let guests = match &args.guests {
        Some(guests) => guests.clone(),
        None => std::env::var_os("CARGO_TARGET_DIR").map_or(crate::repository()?.join("target"), PathBuf::from).join("guests"),
    };
    let machine = Machine::look(&args.perigee)?;
    let mut series = Vec::new();
    for benchmark in &BENCHMARKS {
        series.extend(measure(benchmark, args, &guests)?);
    }
    match args.output {
        Form::Table => report::table(&machine, args.runs, &series),
        Form::Json => report::json(&machine, args.runs, &series),
    }
}

fn measure(benchmark: &Benchmark, args: &Args, guests: &Path) -> anyhow::Result<Vec<Series>> {
    let module = guests.join(format!("{}.wasm", benchmark.guest));
    ensure!(module.is_file(), "{} is not there: run `make guests`", module.display());
    let mut series: Vec<_> = benchmark.figures.iter().map(|figure| Series::new(figure.name, figure.unit)).collect();
    for _ in 0..args.runs {
        let printed = run_once(&args.perigee, &module, benchmark.args)?;
        for (figure, series) in benchmark.figures.iter().zip(&mut series) {
            let value = (figure.read)(&printed);
            series.add(value.with_context(|| format!("{} prints nothing for {:?}", module.display(), figure.name))?);
        }
    }
    Ok(series)
}

/// Runs a program to its end. Its highest memory is read while it still lives: with its last line but one.
fn run_once(perigee: &Path, module: &Path, args: &[&str]) -> anyhow::Result<Printed> {
    let mut command = Command::new(perigee);
    command.args(["run", "--memory", MEMORY]).arg(module).args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", perigee.display()))?;
    let output = child.stdout.take().context("the output is a pipe")?;
    let mut printed = Printed::default();
    for line in BufReader::new(output).lines() {
        printed.read(&line?);
        if let Some(bytes) = peak(child.id()) {
            printed.set(PEAK, bytes);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`perigee run {} {}` failed: {status}", module.display(), args.join(" "));
    }
    Ok(printed)
}

/// The highest resident memory of a process so far, in bytes; none when it has ended.
fn peak(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    figures::peak_of(&status)
}
