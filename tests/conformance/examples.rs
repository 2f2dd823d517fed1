//! The crate's examples, each run as its author would.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use perigee_e2e::built;
use perigee_e2e::cluster::{output_of, output_of_build};

use crate::lunatic;

/// The examples' folder, with all of them compiled.
fn examples() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<()>> = OnceLock::new();
    match BUILT.get_or_init(|| output_of_build(lunatic::cargo("build")?.arg("--examples")).map(drop)) {
        Ok(()) => Ok(lunatic::folder().join("target").join(lunatic::TARGET).join("debug/examples")),
        Err(error) => anyhow::bail!("the examples do not compile: {error:#}"),
    }
}

/// `perigee run OPTIONS EXAMPLE ARGS` in the crate's folder.
fn perigee(options: &[&str], example: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(built::program("perigee")?);
    command.arg("run").args(options).arg(examples()?.join(format!("{example}.wasm"))).args(args);
    command.current_dir(lunatic::source_folder()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Runs one to its end: exit code, and all that it printed.
fn run(options: &[&str], example: &str, args: &[&str]) -> Result<(i32, String)> {
    let ran = perigee(options, example, args)?.output()?;
    let printed = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((ran.status.code().context("a signal ended it")?, printed))
}

#[test]
fn examples_that_end_by_themselves_end_well() -> Result<()> {
    for (example, prints) in [
        ("abstract_process", &[][..]),
        ("distributed", &["Nodes []"]),
        ("monitor", &["Hello", "died"]),
        ("process_local", &[]),
        ("process_name", &["Received message!"]),
        ("request_response", &[]),
        ("spawn_macro", &["Hello! I'm a string.", "Hello non-capturing closure!"]),
        ("spawn_task", &["Hello world from a process!", "Hello world from a 2nd process!"]),
        ("supervised_abstract_process", &[]),
    ] {
        let (code, printed) = run(&[], example, &[])?;
        ensure!(code == 0, "{example}: exit code {code}:\n{printed}");
        for text in prints {
            ensure!(printed.contains(text), "{example} does not print {text:?}:\n{printed}");
        }
    }
    Ok(())
}

#[test]
fn print_env_prints_what_was_given() -> Result<()> {
    let (code, printed) = run(&["--env", "COLOUR=red"], "print_env", &["one", "two"])?;
    ensure!(code == 0 && printed.contains(r#""one", "two"]"#) && printed.contains("COLOUR: red"), "{code}:\n{printed}");
    Ok(())
}

#[test]
fn configs_end_what_takes_too_much() -> Result<()> {
    let (code, printed) = run(&[], "configs", &[])?;
    ensure!(code == 0 && !printed.contains("Succeeded"), "{code}:\n{printed}");
    for text in ["trying to allocate 2MB", "going into infinite loop", "out of fuel"] {
        ensure!(printed.contains(text), "no {text:?}:\n{printed}");
    }
    Ok(())
}

/// A server that is stopped with the test.
struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Server {
    fn start(example: &str) -> Result<Self> {
        let mut child = perigee(&["--net"], example, &[])?.stderr(Stdio::inherit()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, lines })
    }

    /// The address that it says it listens on.
    fn address(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        let address = line.trim().strip_prefix("Listening on addr: ").with_context(|| format!("it says {line:?}"))?;
        Ok(address.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Two lines there and back, on one connection.
fn echoes(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    for text in ["one\n", "two\n"] {
        stream.write_all(text.as_bytes())?;
        let mut line = String::new();
        lines.read_line(&mut line)?;
        ensure!(line == text, "{line:?} for {text:?}");
    }
    Ok(())
}

#[test]
fn tcp_echo_server_echoes() -> Result<()> {
    let mut server = Server::start("tcp_echo_server")?;
    let address = server.address()?;
    echoes(&address)?;
    echoes(&address)
}

#[test]
fn tcp_echo_multi_server_echoes_on_both_ports() -> Result<()> {
    let mut server = Server::start("tcp_echo_multi_server")?;
    let addresses = [server.address()?, server.address()?];
    addresses.iter().try_for_each(|address| echoes(address))
}

#[test]
fn resolve_prints_the_addresses_of_a_name() -> Result<()> {
    let hosts = lunatic::folder().join("hosts");
    std::fs::write(&hosts, "127.0.0.7 wikipedia.org\n")?;
    // In a mount namespace of its own, where the name is in /etc/hosts.
    let perigee = perigee(&["--net"], "resolve", &[])?;
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(perigee.get_program()).args(perigee.get_args());
    let printed = output_of(&mut command)?;
    ensure!(printed.contains("wikipedia.org resolves to 127.0.0.7:80"), "{printed}");
    Ok(())
}

#[test]
fn metrics_are_counted_until_the_stop() -> Result<()> {
    let mut child = perigee(&[], "metrics", &[])?.env("PERIGEE_LOG", "debug").spawn()?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    output_of(Command::new("kill").arg(child.id().to_string()))?;
    let log = std::io::read_to_string(child.stderr.take().context("no standard error")?)?;
    let code = child.wait()?.code();
    ensure!(code == Some(143), "{code:?}:\n{log}");
    for metric in ["counter\": a counter at", "gauge\": a gauge at", "histogram\": a histogram of"] {
        ensure!(log.contains(metric), "no {metric}:\n{log}");
    }
    Ok(())
}

/// It answers whoever connects, with the certificate that comes with it; `openssl` is the client.
#[test]
fn tls_echo_server_answers() -> Result<()> {
    let mut server = Server::start("tls_echo_server")?;
    let address = server.address()?;
    let mut client = Command::new("openssl");
    client.args(["s_client", "-quiet", "-connect", &address]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = client.spawn().context("openssl cannot be started")?;
    let mut input = child.stdin.take().context("piped")?;
    input.write_all(b"hello\n")?;
    let mut answer = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut answer)?;
    drop(input);
    child.wait()?;
    ensure!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    Ok(())
}

/// Without the Internet it gets no further than the name.
#[test]
fn tls_client_says_what_it_cannot_reach() -> Result<()> {
    let (code, printed) = run(&["--net"], "tls_client", &[])?;
    ensure!(code == 134 && printed.contains("www.rust-lang.org"), "{code}:\n{printed}");
    Ok(())
}
