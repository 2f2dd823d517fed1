//! Calls of the OCI runtime (`runc`): one process per call, waited for by the reaper.
//!
//! What it has to say about a failure is read from its log, because its stderr is the container's.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::{
    control::WORKER_FD,
    launcher::sys,
    options::{OptionsError, RuntimeOptions},
    reaper::Reaper,
};

/// After this the call is given up: less than the 2 minutes that the kubelet waits for containerd, so that the pod's
/// events show this error instead of a bare timeout.
const CALL_TIMEOUT: Duration = Duration::from_secs(110);
/// Most bytes of the runtime's log or output that are looked at: a list of 30,000 pids fits.
const OUTPUT_CAP: u64 = 256 << 10;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuncError {
    #[error("cannot run {binary}: {source}")]
    Spawn { binary: PathBuf, source: io::Error },
    #[error("{binary} {operation}: {message}")]
    Failed { binary: String, operation: &'static str, message: String },
    #[error("{operation} took more than {} s and was given up", CALL_TIMEOUT.as_secs())]
    Timeout { operation: &'static str },
    #[error("{operation}: the runtime left no pid in {file}")]
    NoPid { operation: &'static str, file: PathBuf },
    #[error("{operation}: {source}")]
    Output { operation: &'static str, source: io::Error },
}

impl RuncError {
    /// Whether the runtime says that the process is gone: for a signal that is no failure.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Failed { message, .. } => ["not running", "already finished", "does not exist", "no such process"]
                .iter()
                .any(|gone| message.to_ascii_lowercase().contains(gone)),
            _ => false,
        }
    }
}

/// What a call hands on to the container's process: its streams, of which none is /dev/null, and one more descriptor.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    /// The worker's control socket, which becomes its descriptor [`WORKER_FD`].
    pub(crate) listener: Option<OwnedFd>,
}

impl Streams {
    pub(crate) fn null() -> Self {
        Self::default()
    }

    pub(crate) fn stdio(stream: Option<OwnedFd>) -> Stdio {
        stream.map_or_else(Stdio::null, Stdio::from)
    }
}

/// The runtime as one container uses it.
#[derive(Clone)]
pub(crate) struct Runc {
    binary: PathBuf,
    root: PathBuf,
    options: RuntimeOptions,
    bundle: PathBuf,
    id: String,
    reaper: Reaper,
}

impl Runc {
    pub(crate) fn new(
        options: &RuntimeOptions,
        namespace: &str,
        bundle: &Path,
        id: &str,
        reaper: &Reaper,
    ) -> Result<Self, OptionsError> {
        Ok(Self {
            binary: options.binary()?,
            root: options.root(namespace),
            options: options.clone(),
            bundle: bundle.to_owned(),
            id: id.to_owned(),
            reaper: reaper.clone(),
        })
    }

    /// Makes the container; its process waits to be started. Its pid.
    pub(crate) async fn create(&self, console: Option<&Path>, streams: Streams) -> Result<i32, RuncError> {
        let pid_file = self.bundle.join("init.pid");
        let mut args: Vec<OsString> = vec!["--bundle".into(), (&self.bundle).into(), "--pid-file".into(), (&pid_file).into()];
        if self.options.no_pivot_root {
            args.push("--no-pivot".into());
        }
        if self.options.no_new_keyring {
            args.push("--no-new-keyring".into());
        }
        if let Some(console) = console {
            args.extend(["--console-socket".into(), console.into()]);
        }
        if streams.listener.is_some() {
            args.extend(["--preserve-fds".into(), "1".into()]);
        }
        args.push((&self.id).into());
        self.call("create", &args, streams).await?;
        read_pid("create", &pid_file)
    }

    pub(crate) async fn start(&self) -> Result<(), RuncError> {
        self.call("start", &[(&self.id).into()], Streams::null()).await
    }

    /// Starts one more process in the container, as the JSON file says. Its pid.
    pub(crate) async fn exec(
        &self,
        process: &Path,
        pid_file: &Path,
        console: Option<&Path>,
        streams: Streams,
    ) -> Result<i32, RuncError> {
        let mut args: Vec<OsString> =
            vec!["--detach".into(), "--process".into(), process.into(), "--pid-file".into(), pid_file.into()];
        if let Some(console) = console {
            args.extend(["--console-socket".into(), console.into()]);
        }
        args.push((&self.id).into());
        self.call("exec", &args, streams).await?;
        read_pid("exec", pid_file)
    }

    pub(crate) async fn kill_all(&self, signal: u32) -> Result<(), RuncError> {
        self.call("kill", &["--all".into(), (&self.id).into(), signal.to_string().into()], Streams::null()).await
    }

    pub(crate) async fn kill(&self, signal: u32) -> Result<(), RuncError> {
        self.call("kill", &[(&self.id).into(), signal.to_string().into()], Streams::null()).await
    }

    /// Kills what is left and removes the container's cgroup and state. One that does not exist is no failure.
    pub(crate) async fn delete(&self) -> Result<(), RuncError> {
        self.call("delete", &["--force".into(), (&self.id).into()], Streams::null()).await
    }

    pub(crate) async fn pause(&self) -> Result<(), RuncError> {
        self.call("pause", &[(&self.id).into()], Streams::null()).await
    }

    pub(crate) async fn resume(&self) -> Result<(), RuncError> {
        self.call("resume", &[(&self.id).into()], Streams::null()).await
    }

    /// Changes limits of the cgroup to those of the file: `LinuxResources` of the OCI specification in JSON.
    pub(crate) async fn update(&self, resources: &Path) -> Result<(), RuncError> {
        self.call("update", &["--resources".into(), resources.into(), (&self.id).into()], Streams::null()).await
    }

    /// The processes of the container, as pids of the host.
    pub(crate) async fn pids(&self) -> Result<Vec<u32>, RuncError> {
        let operation = "ps";
        let failed = |source| RuncError::Output { operation, source };
        let (from, to) = io::pipe().map_err(failed)?;
        let streams = Streams { stdout: Some(to.into()), ..Streams::null() };
        let mut from = tokio::net::unix::pipe::Receiver::from_owned_fd(OwnedFd::from(from)).map_err(failed)?.take(OUTPUT_CAP);
        let mut text = Vec::new();
        // Read while it runs: a full pipe would stop it.
        let args = ["--format".into(), "json".into(), (&self.id).into()];
        let (called, read) = tokio::join!(self.call(operation, &args, streams), from.read_to_end(&mut text));
        called?;
        read.map_err(failed)?;
        // `null` is its word for none.
        let pids: Option<Vec<u32>> = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        Ok(pids.unwrap_or_default())
    }

    async fn call(&self, operation: &'static str, args: &[OsString], streams: Streams) -> Result<(), RuncError> {
        let log = Log::new().map_err(|source| RuncError::Output { operation, source })?;
        let mut command = self.command(&log);
        command.arg(operation).args(args).stdin(Streams::stdio(streams.stdin));
        command.stdout(Streams::stdio(streams.stdout)).stderr(Streams::stdio(streams.stderr));
        let held = streams.listener.map(|listener| sys::hand_on(&mut command, listener, WORKER_FD)).transpose();
        let spawned = held.and_then(|_held| self.reaper.spawn(&mut command));
        // The command holds our copies of the container's streams: a reader would wait for them too.
        drop(command);
        let (mut child, exited) = spawned.map_err(|source| RuncError::Spawn { binary: self.binary.clone(), source })?;
        let Ok(exit) = tokio::time::timeout(CALL_TIMEOUT, exited).await else {
            if let Err(error) = child.kill() {
                log::warn!("{operation} of {} hangs and cannot be killed: {error}", self.id);
            }
            return Err(RuncError::Timeout { operation });
        };
        match exit.map(|exit| exit.status) {
            Ok(0) => Ok(()),
            status => {
                let status = status.map_or_else(|_| "an unknown status".to_owned(), |status| format!("status {status}"));
                let message = log.last_error().unwrap_or_else(|| format!("ended with {status} and no message"));
                let binary = self.binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Err(RuncError::Failed { binary, operation, message })
            }
        }
    }

    fn command(&self, log: &Log) -> Command {
        let mut command = Command::new(&self.binary);
        // With containerd's NOTIFY_SOCKET, runc would wait for the container to call systemd.
        command.env_remove("NOTIFY_SOCKET").current_dir(&self.bundle);
        command.arg("--root").arg(&self.root).arg("--log").arg(log.path()).args(["--log-format", "json"]);
        if self.options.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        command
    }
}

fn read_pid(operation: &'static str, file: &Path) -> Result<i32, RuncError> {
    let text = std::fs::read_to_string(file).map_err(|source| RuncError::Output { operation, source })?;
    let pid = text.trim().parse().ok().filter(|pid| *pid > 0);
    pid.ok_or_else(|| RuncError::NoPid { operation, file: file.to_owned() })
}

/// The log of one call. In memory: on a full disk, its message is what is wanted most, and a container has to be removed.
struct Log(File);

#[derive(Deserialize)]
struct LogLine {
    level: String,
    msg: String,
}

impl Log {
    fn new() -> io::Result<Self> {
        Ok(Self(rustix::fs::memfd_create("runc-log", rustix::fs::MemfdFlags::CLOEXEC)?.into()))
    }

    /// Its name for another process.
    fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    fn last_error(&self) -> Option<String> {
        let mut text = String::new();
        let mut log = &self.0;
        log.rewind().ok()?;
        log.take(OUTPUT_CAP).read_to_string(&mut text).ok()?;
        last_error(&text)
    }
}

fn last_error(log: &str) -> Option<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
    lines.filter(|line| matches!(line.level.as_str(), "error" | "fatal" | "panic")).map(|line| line.msg).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_of_the_log_is_the_message() {
        let log = r#"{"level":"warning","msg":"odd","time":"t"}
not json
{"level":"error","msg":"first","time":"t"}
{"level":"error","msg":"runc create failed: no such file","time":"t"}
{"level":"info","msg":"bye","time":"t"}"#;
        assert_eq!(last_error(log).as_deref(), Some("runc create failed: no such file"));
        assert_eq!(last_error(""), None);
    }

    #[test]
    fn a_process_that_is_gone_is_recognised() {
        let failed = |message: &str| RuncError::Failed { binary: "runc".into(), operation: "kill", message: message.into() };
        assert!(failed("container not running").is_gone());
        assert!(failed("os: process already finished").is_gone());
        assert!(!failed("permission denied").is_gone());
    }
}
