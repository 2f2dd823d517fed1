//! What the shim and the launcher's process tell each other, over a socket that is the latter's stdin.
//!
//! ```text
//! shim -> launcher   a byte with the container's stdin, and the worker's control socket
//! shim <- launcher   "pid N": the container's first process    (from the launcher)
//! shim <- launcher   "ready": all is made but the program      (from that process, as all that follows)
//! shim -> launcher   a byte: start
//! shim <- launcher   the end of the stream: the program runs
//! at any time: "error ..." and the end
//! ```
//! When the shim dies, what waits for it sees the end of the stream, and ends too.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    iter,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::failure::{Failure, failed};
use crate::control::WORKER_FD;

const PID: &str = "pid ";
const READY: &str = "ready";
const ERROR: &str = "error ";
/// Bytes of an error that are told.
const MAX_ERROR: usize = 4000;

/// One line of the launcher's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Pid(i32),
    Ready,
    Error(String),
}

impl Message {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        if let Some(pid) = line.strip_prefix(PID) {
            return pid.parse().ok().filter(|pid| *pid > 0).map(Self::Pid);
        }
        if let Some(error) = line.strip_prefix(ERROR) {
            return Some(Self::Error(error.to_owned()));
        }
        (line == READY).then_some(Self::Ready)
    }
}

/// Gives the launcher the descriptors of the container.
pub(super) fn send_descriptors(socket: &UnixStream, stdin: &OwnedFd, listener: Option<&OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = iter::once(stdin).chain(listener).map(AsFd::as_fd).collect();
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The launcher's end.
pub(super) struct Control {
    socket: UnixStream,
}

impl Control {
    /// Stdin, from now on closed for whatever is executed later. Its number is none that the container's process is to have.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), WORKER_FD + 1)?;
        Ok(Self { socket: socket.into() })
    }

    /// The container's stdin, and the worker's control socket where it has one.
    pub(super) fn receive_descriptors(&self) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        recvmsg(&self.socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let descriptors = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => Some((descriptors.next()?, descriptors.next())),
            _ => None,
        });
        descriptors.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no descriptor came with the message"))
    }

    pub(super) fn born(&self, pid: i32) -> Result<(), Failure> {
        self.say(&format!("{PID}{pid}"))
    }

    /// Waits for the start.
    pub(super) fn ready(&self) -> Result<(), Failure> {
        self.say(READY)?;
        let mut start = [0];
        (&self.socket).read_exact(&mut start).map_err(failed("the shim is gone"))
    }

    /// Nobody may be there to hear it.
    pub(super) fn fail(&self, failure: &Failure) {
        let mut text = failure.to_string().replace('\n', " ");
        let end = (0..=MAX_ERROR.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        self.say(&format!("{ERROR}{text}")).unwrap_or_default();
    }

    fn say(&self, line: &str) -> Result<(), Failure> {
        // One write for each line: two processes share the socket.
        (&self.socket).write_all(format!("{line}\n").as_bytes()).map_err(failed("the shim is gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let control = Control { socket: theirs };
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = OwnedFd::from(writer);
        send_descriptors(&ours, &writer, Some(&writer)).unwrap();
        drop(writer);
        control.born(7).unwrap();
        control.fail(&failed("cannot mount\na at b")(io::Error::from(io::ErrorKind::NotFound)));
        let (stdin, listener) = control.receive_descriptors().unwrap();
        for received in [stdin, listener.unwrap()] {
            std::fs::File::from(received).write_all(b"x").unwrap();
        }
        drop(control);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "xx");
        text.clear();
        (&ours).read_to_string(&mut text).unwrap();
        let messages: Vec<_> = text.lines().map(|line| Message::parse(line).unwrap()).collect();
        assert_eq!(messages, [Message::Pid(7), Message::Error("cannot mount a at b: entity not found".to_owned())]);
        assert_eq!(Message::parse("pid 0"), None);
        assert_eq!(Message::parse("hello"), None);
    }
}
