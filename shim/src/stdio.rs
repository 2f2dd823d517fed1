//! Where a process's output goes and its input comes from: the FIFOs that containerd made.
//!
//! Output FIFOs are handed to the process itself, so no byte of a log passes through the shim. They are opened for
//! reading and writing: opening then never waits for containerd, and while containerd restarts the process neither gets
//! SIGPIPE nor loses what fits the FIFO. The shim keeps each open for reading until the process is deleted, else what it
//! said last would be gone with it: so containerd, when it is back, finds that, and its end. Input is copied through a pipe
//! instead, because only its closing tells the process that the input ended (CloseIO). A terminal is copied both ways.

use std::{fs::OpenOptions, os::fd::OwnedFd};

use containerd_shim::asynchronous::io::{IoTasks, Pty, Stdio};
use rustix::fs::{Mode, OFlags};
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
    /// The FIFOs of its output, which are never read here.
    unread: Vec<OwnedFd>,
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
    let mut unread = Vec::new();
    let (stdout, stderr) = (output(&stdio.stdout, options, &mut unread)?, output(&stdio.stderr, options, &mut unread)?);
    let streams = Streams { stdin, stdout, stderr, listener: None };
    Ok(Prepared { streams, ours: Ours { input, unread } })
}

/// Connects the input, once the process exists. What is to be held as long as there is the process.
pub(crate) fn connect(stdio: &Stdio, ours: Ours, tasks: &IoTasks) -> Result<Vec<OwnedFd>, ShimError> {
    if let Some(input) = ours.input {
        let sender = pipe::Sender::from_owned_fd(input).map_err(ShimError::io("the pipe to stdin"))?;
        tasks.copy_from_fifo(&stdio.stdin, sender).map_err(ShimError::library("copying stdin"))?;
    }
    Ok(ours.unread)
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

fn output(path: &str, options: &RuntimeOptions, unread: &mut Vec<OwnedFd>) -> Result<Option<OwnedFd>, ShimError> {
    if path.is_empty() {
        return Ok(None);
    }
    if path.contains("://") {
        let expected = "the path of a FIFO: log URIs are not supported";
        return Err(ShimError::Invalid { what: "output stream", value: path.to_owned(), expected });
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(ShimError::io(format!("opening {path}")))?;
    own(&file, options)?;
    let reader = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    unread.push(reader.map_err(|error| ShimError::io(format!("opening {path} for reading"))(error.into()))?);
    Ok(Some(file.into()))
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
