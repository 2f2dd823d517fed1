//! Output that nobody reads, or only later: as while containerd restarts, or beside a reader that hangs.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{guest, guests, kill, perigee, write_app};

/// How long nothing is added to a pipe that is full. How much it then holds depends on how it was written.
const STILL: Duration = Duration::from_millis(500);
/// Longer than the last lines may take after SIGTERM.
const BEYOND_FLUSH: Duration = Duration::from_secs(5);

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn until_full(stdout: &ChildStdout) {
    let (mut held, mut since) = (0, Instant::now());
    until("the pipe is full", || {
        let now = rustix::io::ioctl_fionread(stdout).unwrap();
        if now != held {
            (held, since) = (now, Instant::now());
        }
        held > 0 && since.elapsed() > STILL
    });
}

/// Waits without reading.
fn ends(child: &mut Child) -> Option<i32> {
    until("it ends", || child.try_wait().unwrap().is_some());
    child.wait().unwrap().code()
}

/// All lines of all who talked are in the text, in the order of each.
fn all_is_there(text: &str, actors: usize, lines: usize) {
    let mut next = vec![0; actors];
    for line in text.lines() {
        let mut words = line.split(' ').map(str::parse::<usize>);
        if let (Some(Ok(actor)), Some(Ok(line))) = (words.next(), words.next()) {
            assert_eq!(next[actor], line, "actor {actor}");
            next[actor] += 1;
        }
    }
    assert!(next.iter().all(|count| *count == lines), "{next:?}");
    assert!(text.contains("done\n"));
}

#[test]
fn output_that_nobody_reads_holds_up_who_prints_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_app(
        folder.path(),
        "{name: echo, module: echo.wasm, permissions: {spawn: [echo], network: {listen: ['127.0.0.1:0']}}}, \
         {name: talk, module: talk.wasm, args: ['20', '50000'], restart: {policy: Temporary}, permissions: {spawn: [talk]}}",
    );
    let mut child = perigee(&["run", "--modules"]).arg(guests()).arg(manifest).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    let mut read_until = |stdout: &mut BufReader<ChildStdout>, beginning: &str| loop {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it goes on");
        text.push_str(&line);
        if line.starts_with(beginning) {
            return line;
        }
    };
    let port: u16 = read_until(&mut stdout, "port ").trim().strip_prefix("port ").unwrap().parse().unwrap();
    until_full(stdout.get_ref());
    let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for _ in 0..100 {
        peer.write_all(b"ping").unwrap();
        peer.read_exact(&mut [0; 4]).unwrap();
    }
    read_until(&mut stdout, "done");
    all_is_there(&text, 20, 50_000);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_app_whose_output_nobody_reads_stops_in_time() {
    let mut child = perigee(&["run", "--grace", "1"]).arg(guest("talk")).args(["10", "100000"]).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    until_full(&stdout);
    let asked = Instant::now();
    kill(child.id(), "TERM");
    assert_eq!(ends(&mut child), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(1) + BEYOND_FLUSH, "{:?}", asked.elapsed());
}

#[test]
fn an_app_that_has_ended_waits_until_its_last_lines_are_read() {
    let start = || {
        let mut child = perigee(&["run"]).arg(guest("talk")).args(["1", "20000"]).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        until_full(&stdout);
        (child, stdout)
    };
    let (mut child, mut stdout) = start();
    thread::sleep(BEYOND_FLUSH);
    assert!(child.try_wait().unwrap().is_none(), "it has ended before it was heard");
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    all_is_there(&text, 1, 20_000);
    assert_eq!(ends(&mut child), Some(0));

    // Whether it is told to stop soon after its end or late.
    for waited in [Duration::ZERO, BEYOND_FLUSH] {
        let (mut child, _stdout) = start();
        thread::sleep(waited);
        kill(child.id(), "TERM");
        assert_eq!(ends(&mut child), Some(0), "the app ended well before it was told to stop");
    }
}

/// As `perigee run app.yaml | head -1`.
#[test]
fn a_reader_that_goes_does_not_end_an_app() {
    let mut child = perigee(&["run"]).arg(guest("talk")).args(["10", "5000"]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    drop(stdout);
    assert_eq!(ends(&mut child), Some(0));
}
