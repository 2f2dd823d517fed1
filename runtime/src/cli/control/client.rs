//! `perigee ps`, `top`, …: the commands on this machine, for an app that `perigee run` runs.

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use super::command::{Command, Healthy, Inspect, Kill, Ps, Top, Tree};
use super::place::Place;
use super::protocol::{Line, Lines, Request, Size, VERSION, What};
use crate::cli::run::complain;

/// Exit code where no app could be asked.
const NOT_ASKED: u8 = 1;

/// The commands, each with the app that it is for.
#[derive(Subcommand)]
pub(in crate::cli) enum Local {
    Ps(For<Ps>),
    Top(For<Top>),
    Tree(For<Tree>),
    Inspect(For<Inspect>),
    Kill(For<Kill>),
    Healthy(For<Healthy>),
}

#[derive(clap::Args)]
pub(in crate::cli) struct For<T: clap::Args> {
    /// The app, by its name or process; not needed where one runs
    #[arg(long, value_name = "NAME or PID")]
    app: Option<String>,
    #[command(flatten)]
    command: T,
}

impl Local {
    pub(in crate::cli) fn execute(self) -> ExitCode {
        let (app, command) = match self {
            Self::Ps(it) => (it.app, Command::Ps(it.command)),
            Self::Top(it) => (it.app, Command::Top(it.command)),
            Self::Tree(it) => (it.app, Command::Tree(it.command)),
            Self::Inspect(it) => (it.app, Command::Inspect(it.command)),
            Self::Kill(it) => (it.app, Command::Kill(it.command)),
            Self::Healthy(it) => (it.app, Command::Healthy(it.command)),
        };
        match ask(app.as_deref(), &command) {
            Ok(code) => ExitCode::from(code),
            Err(error) => complain(&format!("{error:#}"), NOT_ASKED),
        }
    }
}

fn ask(app: Option<&str>, command: &Command) -> anyhow::Result<u8> {
    let stream = Place::open()?.connect(app)?;
    stream.set_nonblocking(true).context("the control socket")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    runtime.block_on(async { relay(UnixStream::from_std(stream)?, command.args()).await })
}

/// Prints what comes. Its exit code.
async fn relay(stream: UnixStream, args: Vec<String>) -> anyhow::Result<u8> {
    let (reader, mut writer) = stream.into_split();
    let request = Request { version: VERSION, what: What::Run { args, terminal: terminal() } };
    let mut resized = signal(SignalKind::window_change()).context("SIGWINCH cannot be handled")?;
    send(&mut writer, &request).await?;
    let mut lines = Lines::new(reader);
    loop {
        let line = tokio::select! {
            line = lines.next() => line?.context("the app has ended")?,
            Some(()) = resized.recv() => {
                if let Some(size) = terminal() {
                    send(&mut writer, &size).await?;
                }
                continue;
            }
        };
        match serde_json::from_slice(&line).context("the app's answer is not understood")? {
            Line::Out(text) => print(io::stdout().lock(), &text)?,
            Line::Err(text) => print(io::stderr().lock(), &text)?,
            Line::Exit(code) => return Ok(code),
        }
    }
}

async fn send(writer: &mut (impl tokio::io::AsyncWrite + Unpin), message: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line).await.context("the app has ended")
}

fn print(mut stream: impl io::Write, text: &str) -> anyhow::Result<()> {
    stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).context("the output")
}

/// The size of the terminal that standard output is.
fn terminal() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(Size { columns: size.ws_col, rows: size.ws_row })
}
