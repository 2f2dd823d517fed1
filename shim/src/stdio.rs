//! Where a process's output goes and its input comes from: the FIFOs that containerd made.
//!
//! Output FIFOs are handed to the process itself, so no byte of a log passes through the shim. They are opened for
//! reading and writing: opening then never waits for containerd, and while containerd restarts the process neither gets
//! SIGPIPE nor loses what fits the FIFO. Input is copied through a pipe instead, because only its closing tells the process
//! that the input ended (CloseIO). A terminal is copied both ways.
//!
//! containerd opens its end when it gets round to it, and that waits for a writer (fifo(7)): of a process that has ended by
//! then, it would wait for ever, and what was said would be gone. So the shim is a writer of each output, too, until the
//! process has ended and somebody is there to read.

use std::{
    fs::{File, OpenOptions},
    os::fd::{AsRawFd, OwnedFd},
};

use containerd_shim::asynchronous::io::{IoTasks, Pty, Stdio};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use tokio::net::unix::pipe;

use crate::{error::ShimError, options::RuntimeOptions, runc::Streams};

/// What a process without a terminal is started with.
pub(crate) struct Prepared {
    pub(crate) streams: Streams,
    /// What the shim does with its side of them.
    pub(crate) ours: Ours,
}

/// The shim's side of a process's streams.
pub(crate) struct Ours {
    /// The writing end of its stdin.
    input: Option<OwnedFd>,
    outputs: Vec<Output>,
}

/// A FIFO of a process's output that is held open for writing, so that a reader that comes finds what is in it.
pub(crate) struct Output(OwnedFd);

impl Output {
    /// `path` is open for reading already: else this would fail.
    fn hold(path: &str) -> Result<Self, ShimError> {
        writer(path).map(Self).map_err(|error| ShimError::io(format!("holding {path}"))(error.into()))
    }

    /// Whether somebody reads it, or is about to.
    pub(crate) fn has_reader(&self) -> bool {
        // Opened once more, it says so.
        writer(&format!("/proc/self/fd/{}", self.0.as_raw_fd())).err() != Some(Errno::NXIO)
    }
}

/// Opens a FIFO for writing, without waiting: where nobody reads, it is refused.
fn writer(path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

/// Holds the outputs of what is no process.
pub(crate) fn hold(stdio: &Stdio) -> Result<Vec<Output>, ShimError> {
    let paths = [&stdio.stdout, &stdio.stderr].into_iter().filter(|path| !path.is_empty());
    let hold = |path: &String| {
        let _so_that_it_opens = open(path)?;
        Output::hold(path)
    };
    paths.map(hold).collect()
}

/// Opens the streams of a process without a terminal.
pub(crate) fn prepare(stdio: &Stdio, options: &RuntimeOptions) -> Result<Prepared, ShimError> {
    let (stdin, input) = if stdio.stdin.is_empty() {
        (None, None)
    } else {
        let (reader, writer) = std::io::pipe().map_err(ShimError::io("a pipe for stdin"))?;
        own(&reader, options)?;
        (Some(reader.into()), Some(writer.into()))
    };
    let mut outputs = Vec::new();
    let (stdout, stderr) = (output(&stdio.stdout, options, &mut outputs)?, output(&stdio.stderr, options, &mut outputs)?);
    let streams = Streams { stdin, stdout, stderr, listener: None };
    Ok(Prepared { streams, ours: Ours { input, outputs } })
}

/// Connects the input, once the process exists. The outputs, which are held meanwhile.
pub(crate) fn connect(stdio: &Stdio, ours: Ours, tasks: &IoTasks) -> Result<Vec<Output>, ShimError> {
    if let Some(input) = ours.input {
        let sender = pipe::Sender::from_owned_fd(input).map_err(ShimError::io("the pipe to stdin"))?;
        tasks.copy_from_fifo(&stdio.stdin, sender).map_err(ShimError::library("copying stdin"))?;
    }
    Ok(ours.outputs)
}

/// Connects a terminal.
pub(crate) fn connect_terminal(stdio: &Stdio, terminal: &Pty, tasks: &IoTasks) -> Result<(), ShimError> {
    if !stdio.stdin.is_empty() {
        tasks.copy_from_fifo(&stdio.stdin, terminal.clone()).map_err(ShimError::library("copying to the terminal"))?;
    }
    if !stdio.stdout.is_empty() {
        tasks.copy_to_fifo(terminal.clone(), &stdio.stdout).map_err(ShimError::library("copying from the terminal"))?;
    }
    Ok(())
}

fn output(path: &str, options: &RuntimeOptions, outputs: &mut Vec<Output>) -> Result<Option<OwnedFd>, ShimError> {
    if path.is_empty() {
        return Ok(None);
    }
    if path.contains("://") {
        let expected = "the path of a FIFO: log URIs are not supported";
        return Err(ShimError::Invalid { what: "output stream", value: path.to_owned(), expected });
    }
    let file = open(path)?;
    own(&file, options)?;
    outputs.push(Output::hold(path)?);
    Ok(Some(file.into()))
}

fn open(path: &str) -> Result<File, ShimError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(ShimError::io(format!("opening {path}")))
}

/// In a pod with a user namespace, the process may open its own `/dev/stdout` only when it owns the stream.
fn own(stream: &impl std::os::fd::AsFd, options: &RuntimeOptions) -> Result<(), ShimError> {
    if options.io_uid == 0 && options.io_gid == 0 {
        return Ok(());
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(options.io_uid), rustix::fs::Gid::from_raw(options.io_gid));
    rustix::fs::fchown(stream, Some(uid), Some(gid)).map_err(|error| ShimError::io("chown of a stream")(error.into()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        process,
    };

    use super::*;

    #[test]
    fn opening_an_output_does_not_wait_for_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdout");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let stdio = Stdio::new("", path.to_str().unwrap(), "", false);
        let prepared = prepare(&stdio, &RuntimeOptions::default()).unwrap();
        let mut reader = std::fs::File::open(&path).unwrap();
        let mut child = process::Command::new("sh")
            .args(["-c", "echo hello"])
            .stdout(Streams::stdio(prepared.streams.stdout))
            .spawn()
            .unwrap();
        let mut line = [0; 6];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"hello\n");
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn input_ends_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdin");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let stdio = Stdio::new(path.to_str().unwrap(), "", "", false);
        let Prepared { streams, ours } = prepare(&stdio, &RuntimeOptions::default()).unwrap();
        let mut child =
            process::Command::new("cat").stdin(Streams::stdio(streams.stdin)).stdout(process::Stdio::piped()).spawn().unwrap();
        let tasks = IoTasks::default();
        connect(&stdio, ours, &tasks).unwrap();
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"all of it").unwrap();
        drop(writer);
        tasks.close_input();
        let output = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
            child.wait().unwrap();
            text
        });
        assert_eq!(output.await.unwrap(), "all of it");
    }

    #[test]
    fn a_log_uri_is_refused_by_name() {
        let stdio = Stdio::new("", "binary:///bin/logger", "", false);
        let error = prepare(&stdio, &RuntimeOptions::default()).err().unwrap().to_string();
        assert!(error.contains("binary:///bin/logger"), "{error}");
    }
}
