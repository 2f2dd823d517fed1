//! What `run` and `worker` share: outputs, logs, threads, signals, and an app's way from its specification to its end.

use std::io::IsTerminal as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use perigee_runtime::{Allocator, App, AppExit, Capacity, Class, Engine, HostValues, Node, Output, Program};
use perigee_spec::AppSpec;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::code::Code;
use super::control::{self, Bound, Place};

/// `wasmtime-wasi` wraps each of its functions in a span of level `INFO`: half a microsecond for every call of a guest.
const QUIET: &str = "wasmtime_wasi=warn";
/// Variable that sets which log lines of Perigee itself are shown, as [`Targets`] reads it: a level, or `TARGET=LEVEL`, or
/// several with commas between them. Not as `EnvFilter` does: every worker would hold its regular expressions' tables.
const LOG_VARIABLE: &str = "PERIGEE_LOG";
/// Within this the last lines of output are written where somebody reads them.
const FLUSHED_AT_ONCE: Duration = Duration::from_millis(50);
/// How long the last lines of output may take to be written, once the app was told to stop.
pub(super) const FLUSH: Duration = Duration::from_secs(2);
/// Exit code of an app that was never started: a wrong manifest, a broken module.
pub(super) const CANNOT_RUN: u8 = 126;

/// Exit code after a second signal: 128 + SIGINT.
const STOPPED_TWICE: u8 = 130;

/// An app and all that it needs of this machine.
pub(super) struct Session {
    pub(super) app: AppSpec,
    /// Module of each class, in the order of the app.
    pub(super) modules: Vec<PathBuf>,
    pub(super) host: HostValues,
    pub(super) code: Code,
    pub(super) grace: Duration,
    pub(super) control: Control,
}

/// Where one can ask for the actors.
pub(super) enum Control {
    None,
    /// A socket that listens already.
    Inherited(UnixListener),
    /// In the user's own folder, under this name.
    Local(String),
}

/// The outputs of the process.
pub(super) struct Outputs {
    stdout: Output,
    stderr: Output,
    /// Hears from the app's beginning on that it is told to stop: whoever did that does not wait long.
    stop: Mutex<Option<StopSignals>>,
}

impl Outputs {
    /// Takes over standard output and error, and starts the log.
    pub(super) fn open() -> anyhow::Result<Self> {
        let stdout = Output::new("stdout", std::io::stdout()).context("no thread for standard output")?;
        let stderr = Output::new("stderr", std::io::stderr()).context("no thread for standard error")?;
        let log = stderr.clone();
        let lines = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "info".to_owned());
        let filter = |lines: &str| format!("{QUIET},{lines}").parse::<Targets>();
        let filter = filter(&lines).or_else(|_| filter("info")).context("a filter of log lines")?;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || log.clone())
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false);
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self { stdout, stderr, stop: Mutex::default() })
    }

    /// Waits until everything is written: as long as that takes, as any program does at its end that writes to a full pipe,
    /// or [`FLUSH`] when it was told to stop, or now is.
    pub(super) fn flush(&self) {
        let flush = |output: &Output| output.flush_blocking(FLUSHED_AT_ONCE);
        if flush(&self.stdout) & flush(&self.stderr) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        runtime.block_on(async {
            let written =
                tokio::task::spawn_blocking(move || stdout.flush_blocking(Duration::MAX) && stderr.flush_blocking(Duration::MAX));
            let stopped = async {
                match stop {
                    Some(mut stop) => stop.recv().await,
                    // It never came so far that a signal would not simply end it.
                    None => std::future::pending().await,
                }
                tokio::time::sleep(FLUSH).await;
            };
            tokio::select! {
                _ = written => {}
                () = stopped => {}
            }
        });
        runtime.shutdown_background();
    }
}

impl Session {
    /// Runs the app to its end.
    pub(super) fn run(self, outputs: &Outputs) -> anyhow::Result<AppExit> {
        let runtime = perigee_runtime::threads().build().context("no threads for the actors")?;
        let exit = runtime.block_on(self.run_app(outputs));
        // Blocking work of actors that were killed has no one to answer to.
        runtime.shutdown_background();
        exit
    }

    async fn run_app(mut self, outputs: &Outputs) -> anyhow::Result<AppExit> {
        let mut stop = stop_signals()?;
        *outputs.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop_signals()?);
        let (app, grace) = (self.app.clone(), self.grace);
        let control = std::mem::replace(&mut self.control, Control::None);
        let (stdout, stderr) = (outputs.stdout.clone(), outputs.stderr.clone());
        let prepared = tokio::task::spawn_blocking(move || self.prepare(stdout, stderr));
        let node = tokio::select! {
            node = prepared => node.context("preparing the app")??,
            () = stop.recv() => {
                return Ok(AppExit { code: 143, message: Some("stopped before it started".to_owned()) });
            }
        };
        let app = App::new(app, Arc::clone(&node))?;
        perigee_idle::give_back_when_started();
        let _control = control.open(node);
        let stop = async move {
            stop.recv().await;
            tokio::spawn(stop.insist());
        };
        Ok(app.run(stop, grace).await)
    }

    /// Gets what the classes need, each module once.
    fn prepare(self, stdout: Output, stderr: Output) -> anyhow::Result<Arc<Node>> {
        let capacity = Capacity::for_modules(&self.app, &self.modules);
        if capacity.is_for_many() {
            Allocator::serve_many_actors();
        }
        let engine = Engine::new(capacity)?;
        let mut programs: Vec<(PathBuf, Program)> = Vec::new();
        let mut classes = Vec::new();
        for (spec, path) in self.app.actors().iter().zip(&self.modules) {
            let known = programs.iter().find(|(known, _)| known == path).map(|(_, program)| program.clone());
            let program = match known {
                Some(program) => program,
                None => {
                    let program = self.code.program(&engine, spec.name.as_str(), path)?;
                    programs.push((path.clone(), program.clone()));
                    program
                }
            };
            classes.push(Class::prepare(spec.clone(), program, &self.host)?);
        }
        Ok(Node::new(engine, classes, stdout, stderr))
    }
}

impl Control {
    /// Answers from now on, until the result is dropped. An app runs without it, too.
    fn open(self, node: Arc<Node>) -> Option<Open> {
        let opened = match self {
            Self::None => return None,
            Self::Inherited(listener) => Ok((listener, None)),
            Self::Local(app) => Place::open().and_then(|place| {
                let (listener, bound) = place.bind(&app)?;
                Ok((listener, Some(bound)))
            }),
        };
        let opened = opened.and_then(|(listener, bound)| Ok((tokio::net::UnixListener::from_std(listener)?, bound)));
        match opened {
            Ok((listener, bound)) => Some(Open { server: tokio::spawn(control::serve(listener, node)), _bound: bound }),
            Err(error) => {
                tracing::debug!("nobody can ask for the actors: {error:#}");
                None
            }
        }
    }
}

/// An open control socket.
struct Open {
    server: JoinHandle<()>,
    _bound: Option<Bound>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// SIGTERM and SIGINT, from the first look on.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

fn stop_signals() -> anyhow::Result<StopSignals> {
    let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    Ok(StopSignals { terminate, interrupt })
}

impl StopSignals {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Whoever asks a second time does not want to wait for connections to finish; there is nothing to be put in order.
    async fn insist(mut self) {
        self.recv().await;
        std::process::exit(i32::from(STOPPED_TWICE));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn code_that_ran_is_given_back_and_runs_again() {
        // Compiling a module runs much of it.
        let compile = || perigee_runtime::Compiler::new().unwrap().compile("empty", b"\0asm\x01\0\0\0").unwrap();
        let compiled = compile();
        let before = perigee_idle::code_in_memory().unwrap();
        perigee_idle::give_back();
        let after = perigee_idle::code_in_memory().unwrap();
        assert!(after < before / 2, "{before} KiB before, {after} KiB after");
        assert_eq!(compile(), compiled);
    }
}
