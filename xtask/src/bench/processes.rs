//! What is measured of `perigee` from outside: memory, its start, a connection.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};

use super::Setup;
use super::figures::{self, Printed};

pub(super) const PSS_MIB: &str = "pss_mib";
pub(super) const START_MS: &str = "start_ms";

/// Between the start of an idle program and the look at its memory: what only the start needs has been freed by then.
const SETTLE: Duration = Duration::from_secs(2);
const SPINNERS: &str = "8";
const SAMPLES: u32 = 500;
/// Between two messages: longer than the wake-up should take, so that each finds the actor waiting.
const PAUSE: Duration = Duration::from_millis(4);

/// A program, its output, its first line.
pub(super) struct Started {
    child: Child,
    output: BufReader<ChildStdout>,
    line: String,
}

/// Kills it when it still runs: a benchmark that fails leaves nothing behind.
impl Drop for Started {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Started {
    pub(super) fn new(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("{command:?} cannot be started"))?;
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut started = Self { child, output, line: String::new() };
        started.output.read_line(&mut started.line)?;
        ensure!(!started.line.is_empty(), "{command:?} ended before it printed anything");
        Ok(started)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens: its first line is `port N`.
    pub(super) fn port(&self) -> anyhow::Result<u16> {
        let port = self.line.trim().strip_prefix("port ").and_then(|port| port.parse().ok());
        port.with_context(|| format!("it prints {:?}, where it should say its port", self.line))
    }
}

/// The memory of `perigee` while its one actor waits for a message.
pub(super) fn idle(setup: &Setup) -> anyhow::Result<Printed> {
    let module = setup.module("idle")?;
    let start = || Started::new(Command::new(&setup.perigee).arg("run").arg(&module));
    // The first one compiles, and keeps the code for the one that is measured.
    drop(start()?);
    let started = start()?;
    ensure!(started.line.trim() == "ready", "{} prints {:?}", module.display(), started.line);
    sleep(SETTLE);
    let memory = fs::read_to_string(format!("/proc/{}/smaps_rollup", started.child.id()))?;
    let bytes = figures::field(&memory, "Pss:").context("the kernel tells no PSS")?;
    let mut printed = Printed::default();
    printed.set(PSS_MIB, bytes / f64::from(1 << 20));
    Ok(printed)
}

/// From before the program is started to the first thing that the guest prints, its code being in the cache.
pub(super) fn start(setup: &Setup) -> anyhow::Result<Printed> {
    let module = setup.module("hello")?;
    let start = || {
        let began = Instant::now();
        Started::new(Command::new(&setup.perigee).arg("run").arg(&module)).map(|_| began.elapsed())
    };
    start()?;
    let mut printed = Printed::default();
    printed.set(START_MS, start()?.as_secs_f64() * 1e3);
    Ok(printed)
}

/// Sends the time at which it sends to an actor beside others that spin; that one says how old it was when it was read.
pub(super) fn socket(setup: &Setup) -> anyhow::Result<Printed> {
    let module = setup.module("socket_vs_spinners")?;
    let mut command = Command::new(&setup.perigee);
    let mut started = Started::new(command.args(["run", "--net"]).arg(&module).args([SPINNERS, &SAMPLES.to_string()]))?;
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, started.port()?))?;
    connection.set_nodelay(true)?;
    for _ in 0..SAMPLES {
        sleep(PAUSE);
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
        connection.write_all(&now.to_le_bytes())?;
    }
    let mut printed = Printed::default();
    started.line.clear();
    while started.output.read_line(&mut started.line)? > 0 {
        printed.read(&started.line);
        started.line.clear();
    }
    ensure!(started.child.wait()?.success(), "{} failed", module.display());
    Ok(printed)
}
