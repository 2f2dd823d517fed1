//! TCP echo with many connections held, and the peer of it: the plainest echo server of tokio.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Setup;
use super::figures::{self, Printed};
use super::processes::Started;

/// Connections that are open at once, as `actors` of the manifest.
pub(super) const CONNECTIONS: u32 = 10_000;
/// Round trips of each.
const ROUNDS: u32 = 20;
const BYTES: usize = 64;
/// Open files of this program besides those connections.
const OTHER_FILES: u64 = 64;
/// Name of what each connection adds to the memory of the server, in KiB.
pub(super) const EACH_KIB: &str = "each_kib";

/// The server of the peer, until it is killed.
pub(crate) fn serve() -> anyhow::Result<()> {
    raise_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(io::stdout().lock(), "port {}", listener.local_addr()?.port())?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(echo(stream));
        }
    })
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(buffer.get(..length).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

/// This program as that server.
pub(super) fn tokio_server() -> anyhow::Result<Printed> {
    measure(Command::new(std::env::current_exe()?).arg("echo-server"))
}

pub(super) fn guest(setup: &Setup) -> anyhow::Result<Printed> {
    let network = serde_json::json!({"listen": ["127.0.0.1:*"]});
    let manifest = setup.manifest("echo", &[], CONNECTIONS, &network)?;
    measure(Command::new(&setup.perigee).args(["run", "--modules"]).arg(&setup.guests).arg(manifest))
}

fn measure(command: &mut Command) -> anyhow::Result<Printed> {
    raise_limit()?;
    let server = Started::new(command)?;
    let port = server.port()?;
    let memory = || -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
        figures::field(&status, "VmRSS:").context("the server has ended")
    };
    let before = memory()?;
    // One thread: the more of the machine it takes, the less the servers differ.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut printed = Printed::default();
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        // Once each, so that all are accepted before it counts.
        let streams = all(streams, 1).await?;
        let started = Instant::now();
        let streams = all(streams, ROUNDS).await?;
        printed.set("per_second", f64::from(CONNECTIONS * ROUNDS) / started.elapsed().as_secs_f64());
        printed.set(EACH_KIB, (memory()? - before) / 1024.0 / f64::from(CONNECTIONS));
        drop(streams);
        anyhow::Ok(())
    })?;
    Ok(printed)
}

/// So many round trips on each, all at once; gives the connections back, which stay open.
async fn all(streams: Vec<TcpStream>, rounds: u32) -> anyhow::Result<Vec<TcpStream>> {
    let tasks: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(round_trips(stream, rounds))).collect();
    let mut streams = Vec::new();
    for task in tasks {
        streams.push(task.await??);
    }
    Ok(streams)
}

async fn round_trips(mut stream: TcpStream, rounds: u32) -> anyhow::Result<TcpStream> {
    for round in 0..rounds {
        let sent = [u8::try_from(round % 251)?; BYTES];
        stream.write_all(&sent).await?;
        let mut back = [0; BYTES];
        stream.read_exact(&mut back).await.context("a connection was closed")?;
        ensure!(back == sent, "what came back is something else");
    }
    Ok(stream)
}

/// Each connection is an open file here; the usual limit is lower.
fn raise_limit() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if most < u64::from(CONNECTIONS) + OTHER_FILES {
        bail!("{CONNECTIONS} connections need as many open files, and `ulimit -Hn` is {most}");
    }
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}
