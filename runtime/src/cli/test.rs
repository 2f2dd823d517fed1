//! `perigee test`: runs the tests of a module that was built with the crate `lunatic`, each in an environment of its own.

mod case;
mod report;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Parser as _, ValueEnum};
use perigee_runtime::{App, Capacity, Class, Engine, HostValues, MountedFolder, Node, Output, Program};
use perigee_spec::{ActorClass, AppSpec, EnvVar, MAX_MEMORY, Network};
use tokio::task::JoinSet;

pub(super) use case::has_tests;

use super::module;
use case::Case;
use report::{Outcome, Report, plural};

/// Exit code when a test failed: that of Rust's own harness.
const FAILED: u8 = 101;
/// What tests may listen on and connect to.
const LISTEN: [&str; 2] = ["127.0.0.1:*", "[::1]:*"];
const CONNECT: [&str; 3] = ["127.0.0.0/8:*", "[::1]:*", "localhost:*"];

/// Run the tests of a module (functions with #[lunatic::test]).
///
/// Options and output are those of `cargo test`. With
///     CARGO_TARGET_WASM32_WASIP1_RUNNER="perigee test" cargo test --target wasm32-wasip1
/// cargo builds and runs them. Each test has actors, ids, names and outputs of its own, and what it leaves behind ends
/// with it. It may use the current folder, this shell's variables and the network of this machine itself (loopback), and
/// may spawn.
#[derive(clap::Args)]
#[command(max_term_width = 110)]
pub(super) struct Test {
    /// Module (.wasm)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Run only tests whose path has one of these in it
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// A filter is a whole path
    #[arg(long)]
    exact: bool,
    /// Leave out tests whose path has this in it
    #[arg(long, value_name = "FILTER")]
    skip: Vec<String>,
    /// List the tests, and run none
    #[arg(long)]
    list: bool,
    /// Form of the list
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// Write what tests write at once, and keep none of it
    #[arg(long, alias = "no-capture")]
    nocapture: bool,
    /// Show what tests wrote that passed, too
    #[arg(long)]
    show_output: bool,
    /// Run only the ignored tests
    #[arg(long, conflicts_with = "include_ignored")]
    ignored: bool,
    /// Run the ignored tests too
    #[arg(long)]
    include_ignored: bool,
    /// Tests that run at once [default: one for each core]
    #[arg(long, value_name = "NUMBER")]
    test_threads: Option<NonZeroUsize>,
    /// A further folder that tests may use
    #[arg(long = "dir", value_name = "HOST")]
    dirs: Vec<PathBuf>,
    /// Arguments of the tests themselves
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Pretty,
    Terse,
}

/// What all tests of a run share.
struct Bench {
    engine: Arc<Engine>,
    program: Program,
    host: HostValues,
    class: ActorClass,
    /// Where tests write to that keep nothing.
    open: Option<(Output, Output)>,
}

/// The arguments alone, as cargo hands them to its runner.
#[derive(clap::Parser)]
#[command(name = "perigee run")]
struct Alone {
    #[command(flatten)]
    test: Test,
}

impl Test {
    /// What `perigee run FILE ARGS` does with a module that has tests. Ends the process where the arguments are wrong.
    pub(super) fn of_run(file: PathBuf, args: Vec<String>) -> Self {
        let words =
            [OsString::from("perigee run"), file.into_os_string()].into_iter().chain(args.into_iter().map(OsString::from));
        Alone::parse_from(words).test
    }

    pub(super) fn execute(self) -> ExitCode {
        match self.run() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(error) => super::run::complain(&format!("{error:#}"), super::session::CANNOT_RUN),
        }
    }

    /// Whether all passed.
    fn run(self) -> anyhow::Result<bool> {
        let bytes = std::fs::read(&self.file).with_context(|| format!("the module {} cannot be read", self.file.display()))?;
        let engine = Arc::new(Engine::new(Capacity { actors: module::ACTORS })?);
        let name = self.file.file_name().unwrap_or(self.file.as_os_str()).to_string_lossy();
        let program = engine.compile(&name, &bytes)?;
        let mut cases: Vec<Case> = program.entrypoints().iter().filter_map(|export| Case::parse(export)).collect();
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        let all = cases.len();
        cases.retain(|case| self.selects(case));
        if self.list {
            list(&cases, self.format)?;
            return Ok(true);
        }
        let open = match self.nocapture {
            true => Some((
                Output::new("stdout", io::stdout()).context("no thread for standard output")?,
                Output::new("stderr", io::stderr()).context("no thread for standard error")?,
            )),
            false => None,
        };
        let bench = Arc::new(Bench { engine, program, host: self.host()?, class: self.class()?, open });
        let runtime = perigee_runtime::threads().build().context("no threads for the actors")?;
        let passed = runtime.block_on(self.run_all(cases, all, &bench));
        runtime.shutdown_background();
        if let Some((stdout, stderr)) = &bench.open {
            // What nobody reads by then is lost.
            let _written = stdout.flush_blocking(super::session::FLUSH) & stderr.flush_blocking(super::session::FLUSH);
        }
        passed
    }

    fn selects(&self, case: &Case) -> bool {
        let matches = |filter: &String| if self.exact { case.name == *filter } else { case.name.contains(filter.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skip.iter().any(matches)
            && (!self.ignored || case.ignored)
    }

    async fn run_all(&self, cases: Vec<Case>, all: usize, bench: &Arc<Bench>) -> anyhow::Result<bool> {
        let started = Instant::now();
        let filtered_out = all - cases.len();
        let mut report = Report::start(io::stdout(), cases.len(), self.show_output)?;
        let at_once = self.test_threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let mut running = JoinSet::new();
        for case in cases {
            if case.ignored && !self.ignored && !self.include_ignored {
                report.ignore(&case)?;
                continue;
            }
            while running.len() >= at_once {
                report.add(next(&mut running).await?)?;
            }
            let bench = Arc::clone(bench);
            running.spawn(async move { bench.run(case).await });
        }
        while !running.is_empty() {
            report.add(next(&mut running).await?)?;
        }
        Ok(report.finish(filtered_out, started.elapsed())?)
    }

    fn class(&self) -> anyhow::Result<ActorClass> {
        let mut class = module::class(&self.args, MAX_MEMORY)?;
        class.permissions.spawn.push(class.name.clone());
        (class.permissions.compile, class.permissions.configure) = (true, true);
        class.permissions.network = Network {
            listen: LISTEN.iter().map(|rule| rule.parse()).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?,
            connect: CONNECT.iter().map(|rule| rule.parse()).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?,
        };
        // A name or value that is no text cannot be handed on.
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        class.env = std::env::vars_os()
            .filter_map(text)
            .map(|(name, value)| EnvVar { name, value: Some(value), value_from: None })
            .collect();
        Ok(class)
    }

    fn host(&self) -> anyhow::Result<HostValues> {
        let mut folders = vec![module::current_folder()];
        for folder in &self.dirs {
            let Some(guest) = folder.to_str() else { bail!("--dir {}: the name is not UTF-8", folder.display()) };
            std::fs::read_dir(folder).with_context(|| format!("--dir {guest}: the folder cannot be opened"))?;
            folders.push(MountedFolder::new(guest, folder, false));
        }
        Ok(HostValues { folders, ..HostValues::default() })
    }
}

impl Bench {
    /// Runs one test to its end, and ends whatever it leaves behind.
    async fn run(&self, case: Case) -> anyhow::Result<Outcome> {
        let mut class = self.class.clone();
        class.entrypoint.clone_from(&case.export);
        let kept = Output::kept();
        let (stdout, stderr) = self.open.clone().unwrap_or_else(|| (kept.clone(), kept.clone()));
        let prepared = Class::prepare(class.clone(), self.program.clone(), &self.host)?;
        let node = Node::new(Arc::clone(&self.engine), vec![prepared], stdout, stderr);
        let app = App::new(AppSpec::new("test", vec![class], "test")?, node)?;
        let exit = app.run(std::future::pending(), Duration::ZERO).await;
        let written = kept.take_kept();
        let failure = case.judge(&exit, &String::from_utf8_lossy(&written));
        Ok(Outcome { case, failure, written })
    }
}

async fn next(running: &mut JoinSet<anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    match running.join_next().await {
        Some(outcome) => outcome.context("a test was lost by a defect of Perigee")?,
        None => bail!("no test is running"),
    }
}

fn list(cases: &[Case], format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for case in cases {
        writeln!(out, "{}: test", case.name)?;
    }
    if format == Format::Pretty {
        writeln!(out, "\n{} test{}, 0 benchmarks", cases.len(), plural(cases.len()))?;
    }
    Ok(())
}
