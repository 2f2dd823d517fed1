//! `cargo xtask bench`: the figures that say how fast and how dense actors are, their targets beside them, and how peers do
//! in the same run.
//!
//! A figure is the median of the runs, with the lowest and the highest. Runs of a benchmark and of its peer take turns, so
//! that whatever else the machine does meets both: only ratios mean something on a machine that has other work.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

mod bare;
mod catalogue;
mod chart;
mod check;
mod echo;
mod erlang;
mod figures;
mod guest;
mod machine;
mod processes;
mod report;
mod target;
mod wasmtime;

pub(crate) use echo::serve as serve_echo;

use catalogue::{BENCHMARKS, Benchmark, Peer, Run};
use figures::{Printed, Series};
use machine::Machine;
use report::{Figure, PeerFigure, Report};

/// File of the figures in the folder of `--out`, and in docs/bench.
const RESULTS: &str = "results.json";
/// The same as a picture.
const CHART: &str = "results.svg";

/// Run the benchmarks: figures, their targets, peers
///
/// Runs each benchmark by `perigee run`, and beside it its peer, if it has one: Erlang where `erl` is on the PATH, the
/// wasmtime of --wasmtime, or what this program does itself with Wasmtime or tokio alone. Prints a table; with --out also
/// writes results.json and results.svg.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The `perigee` to measure
    #[arg(long, value_name = "PATH")]
    perigee: PathBuf,
    /// Folder of the guest programs [default: guests/ in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    guests: Option<PathBuf>,
    /// A `wasmtime` of the version that perigee has, to compare with
    #[arg(long, value_name = "PATH")]
    wasmtime: Option<PathBuf>,
    /// Runs of each program
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only the benchmarks whose name has this in it
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// Where results.json and results.svg are written
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail when a ratio is worse than in this results.json, by more than the tolerance
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Form of the output
    #[arg(long, short, value_name = "FORM", default_value = "table")]
    output: Form,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    Table,
    Json,
}

/// What every run needs.
struct Setup {
    perigee: PathBuf,
    guests: PathBuf,
    erlang: Option<erlang::Erlang>,
    wasmtime: Option<wasmtime::Wasmtime>,
    /// Of this run: manifests, compiled Erlang.
    folder: tempfile::TempDir,
}

/// Runs them all.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // Read first: after half an hour of measuring it is late to hear that there is no such file.
    let known = args.against.as_deref().map(Report::read).transpose()?;
    let chosen: Vec<_> = BENCHMARKS.iter().filter(|benchmark| benchmark.name.contains(&args.only)).collect();
    ensure!(!chosen.is_empty(), "no benchmark has {:?} in its name; there are: {}", args.only, catalogue::names());
    let setup = setup(args)?;
    let machine = Machine::look(&args.perigee, setup.erlang.as_ref(), setup.wasmtime.as_ref())?;
    let figures = chosen.iter().flat_map(|benchmark| measure(benchmark, &setup, args.runs)).collect();
    let report = Report { machine, runs: args.runs, figures };
    let text = match args.output {
        Form::Table => report.table(),
        Form::Json => report.json()?,
    };
    writeln!(io::stdout().lock(), "{text}")?;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        fs::write(folder.join(RESULTS), report.json()? + "\n")?;
        fs::write(folder.join(CHART), chart::render(&report))?;
    }
    match known {
        Some(known) => check::compare(&known, &report, &args.only),
        None => Ok(()),
    }
}

fn setup(args: &Args) -> anyhow::Result<Setup> {
    let guests = match &args.guests {
        Some(guests) => guests.clone(),
        None => std::env::var_os("CARGO_TARGET_DIR").map_or(crate::repository()?.join("target"), PathBuf::from).join("guests"),
    };
    let absolute = |path: &Path| path.canonicalize().with_context(|| format!("{} is not there", path.display()));
    let folder = tempfile::tempdir()?;
    Ok(Setup {
        perigee: absolute(&args.perigee)?,
        guests: absolute(&guests).context("run `make guests`")?,
        erlang: erlang::Erlang::find(folder.path())?,
        wasmtime: args.wasmtime.as_deref().map(|path| wasmtime::Wasmtime::at(&absolute(path)?, folder.path())).transpose()?,
        folder,
    })
}

/// The figures of one benchmark. What fails is a figure too: one that says why, and the others are still measured.
fn measure(benchmark: &Benchmark, setup: &Setup, runs: u32) -> Vec<Figure> {
    let (mut ours, mut theirs): (Vec<Printed>, Vec<Printed>) = (Vec::new(), Vec::new());
    let mut failure = None;
    let mut peer = benchmark.peer.and_then(|peer| peer.name(setup));
    for number in 1..=runs {
        progress(&format!("{} {number}/{runs}", benchmark.name));
        match benchmark.run.once(setup) {
            Ok(printed) => ours.push(printed),
            Err(error) => {
                failure = Some(format!("{error:#}"));
                break;
            }
        }
        if let (Some(kind), Some(name)) = (benchmark.peer, &peer) {
            progress(&format!("{} {number}/{runs} ({name})", benchmark.name));
            match kind.once(setup) {
                Ok(printed) => theirs.push(printed),
                Err(error) => {
                    progress(&format!("{} of {name}: {error:#}", benchmark.name));
                    peer = None;
                }
            }
        }
    }
    let series = |printed: &[Printed], read: catalogue::Read| -> Option<Series> {
        printed.iter().map(read).collect::<Option<Vec<_>>>().filter(|values| !values.is_empty()).map(Series)
    };
    let figure = |figure: &catalogue::Figure| {
        let measured = series(&ours, figure.read).map(|series| series.summary());
        let missing = measured.is_none().then(|| format!("it prints nothing for {:?}", figure.name));
        let of_peer = |name: &String| Some(PeerFigure { name: name.clone(), measured: series(&theirs, figure.read)?.summary() });
        Figure {
            name: figure.name.to_owned(),
            unit: figure.unit.to_owned(),
            better: figure.better,
            target: figure.target,
            measured: measured.filter(|_| failure.is_none()),
            peer: peer.as_ref().and_then(of_peer),
            failure: failure.clone().or(missing),
        }
    };
    benchmark.figures.iter().map(figure).collect()
}

impl Run {
    fn once(self, setup: &Setup) -> anyhow::Result<Printed> {
        match self {
            Self::Guest(guest) => guest.run(setup),
            Self::Scaling(guest) => guest.run_on_one_core_too(setup),
            Self::Idle => processes::idle(setup),
            Self::Start => processes::start(setup),
            Self::Socket => processes::socket(setup),
            Self::Echo => echo::guest(setup),
        }
    }
}

impl Peer {
    /// What it calls itself, if it is here.
    fn name(self, setup: &Setup) -> Option<String> {
        match self {
            Self::Tokio => Some("tokio".to_owned()),
            Self::BareTiny | Self::BareGuest(_) => Some("Wasmtime alone".to_owned()),
            Self::Erlang(_) => setup.erlang.as_ref().map(|erlang| erlang.name.clone()),
            Self::Wasmtime(..) => setup.wasmtime.as_ref().map(|wasmtime| wasmtime.name.clone()),
        }
    }

    fn once(self, setup: &Setup) -> anyhow::Result<Printed> {
        match self {
            Self::Tokio => echo::tokio_server(),
            Self::BareTiny => bare::run(bare::TINY),
            Self::BareGuest(guest) => bare::run(&fs::read(setup.module(guest)?)?),
            Self::Erlang(args) => setup.erlang.as_ref().context("no erl")?.run(args),
            Self::Wasmtime(guest, args) => setup.wasmtime.as_ref().context("no wasmtime")?.run(&setup.module(guest)?, args),
        }
    }
}

/// For who waits: what runs.
fn progress(what: &str) {
    // Nobody reads it when it cannot be written.
    drop(writeln!(io::stderr(), "bench: {what}"));
}
