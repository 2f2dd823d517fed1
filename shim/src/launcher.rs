//! The shim's own launcher: starts a worker in what `config.json` asks for, without runc.
//!
//! It is used for Wasm workers, and only where it can do all that the bundle asks for ([`Launcher::choose`]); the reason
//! why not is logged. A container that it made is one for good: its file in the bundle tells `delete`, after the shim
//! died, whom to ask.

pub(crate) mod cgroup;
mod control;
mod device_program;
mod devices;
mod failure;
pub(crate) mod helper;
mod mount;
mod mounts;
mod plan;
mod process;
mod resources;
mod rootfs;
mod seccomp;
mod spec;
pub(crate) mod sys;

use std::{
    fs, io,
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    sync::{Mutex, oneshot::error::TryRecvError},
};

use self::{
    cgroup::{Cgroup, Hierarchies},
    control::Message,
    failure::{Failure, failed},
    plan::{Plan, Unsupported},
};
use crate::{options::RuntimeOptions, reaper::Reaper, runc::Streams};

/// The argument that makes the shim's binary the launcher's process.
pub(crate) const ARGUMENT: &str = "launch";
/// In the bundle: the folder of the container's cgroup, below the mount points of the hierarchies.
const FILE: &str = "perigee-launcher";
/// As for runc: less than the 2 minutes that the kubelet waits.
const TIMEOUT: Duration = Duration::from_secs(110);
/// Bytes that the launcher says in all, an error included.
const MAX_ANSWER: u64 = 16 << 10;

/// A container that was not launched, or not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LauncherError {
    #[error(transparent)]
    Failure(#[from] Failure),
    /// In the words of the launcher's process.
    #[error("{0}")]
    Told(String),
    #[error("the container's process ended while it was made; did its memory limit leave it enough?")]
    Ended,
    #[error("launching took more than {} s and was given up", TIMEOUT.as_secs())]
    Timeout,
    #[error("the resources are not understood: {0}")]
    Resources(serde_json::Error),
    #[error("process already finished")]
    Gone,
}

/// One container that the launcher makes or made. Clones share it.
#[derive(Clone)]
pub(crate) struct Launcher {
    bundle: PathBuf,
    cgroup: Cgroup,
    reaper: Reaper,
    /// To the first process, until it has become the program.
    gate: Arc<Mutex<Option<tokio::net::UnixStream>>>,
}

impl Launcher {
    /// The launcher for a bundle that it can make, or why it cannot.
    pub(crate) fn choose(config: &Value, options: &RuntimeOptions, bundle: &Path, reaper: &Reaper) -> Result<Self, Unsupported> {
        plan::check_options(options)?;
        let plan = Plan::of(config)?;
        let launcher = Self::new(bundle, &plan.cgroup, reaper).map_err(|error| Unsupported::new(error.to_string()))?;
        launcher.cgroup.check(&plan.resources)?;
        // From now on the container is the launcher's, also for `delete` after a crash.
        fs::write(bundle.join(FILE), &plan.cgroup).map_err(|error| Unsupported::new(format!("{FILE}: {error}")))?;
        Ok(launcher)
    }

    /// The launcher of a container that it made.
    pub(crate) fn of_bundle(bundle: &Path, reaper: &Reaper) -> Option<Self> {
        let path = fs::read_to_string(bundle.join(FILE)).ok()?;
        Self::new(bundle, &path, reaper).ok()
    }

    fn new(bundle: &Path, cgroup: &str, reaper: &Reaper) -> io::Result<Self> {
        let cgroup = Cgroup::new(&Hierarchies::of_host()?, cgroup);
        Ok(Self { bundle: bundle.to_owned(), cgroup, reaper: reaper.clone(), gate: Arc::default() })
    }

    /// Makes the container; its process waits to be started. Its pid.
    pub(crate) async fn create(&self, streams: Streams) -> Result<i32, LauncherError> {
        let launch = || {
            let (ours, theirs) = UnixStream::pair()?;
            let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
            let stdin = streams.stdin.unwrap_or_else(|| null.into());
            control::send_descriptors(&ours, &stdin, streams.listener.as_ref())?;
            // Not the path of the binary, which may have been replaced since the shim was started.
            let mut command = Command::new("/proc/self/exe");
            command.arg0("perigee-launcher").arg(ARGUMENT).current_dir(&self.bundle).env_clear();
            command.stdin(std::os::fd::OwnedFd::from(theirs));
            command.stdout(Streams::stdio(streams.stdout)).stderr(Streams::stdio(streams.stderr));
            let (child, exited) = self.reaper.spawn(&mut command)?;
            ours.set_nonblocking(true)?;
            Ok((child, exited, tokio::net::UnixStream::from_std(ours)?))
        };
        let (mut child, mut exited, socket) = launch().map_err(failed::<io::Error>("cannot start the launcher"))?;
        let mut answers = BufReader::new(socket.take(MAX_ANSWER));
        let made = tokio::time::timeout(TIMEOUT, made(&mut answers)).await;
        let pid = made.unwrap_or_else(|_| {
            // Once it has ended, its pid may be another's. The first process ends when it finds the socket closed.
            if exited.try_recv() == Err(TryRecvError::Empty) {
                child.kill().unwrap_or_default();
            }
            Err(LauncherError::Timeout)
        })?;
        // For `delete`, as runc leaves it.
        fs::write(self.bundle.join("init.pid"), pid.to_string()).map_err(failed("init.pid"))?;
        *self.gate.lock().await = Some(answers.into_inner().into_inner());
        Ok(pid)
    }

    /// Lets the process become its program.
    pub(crate) async fn start(&self) -> Result<(), LauncherError> {
        let mut gate = self.gate.lock().await.take().ok_or(LauncherError::Gone)?;
        // The process may have been killed meanwhile.
        gate.write_all(b"s").await.map_err(|_| LauncherError::Gone)?;
        let mut answer = String::new();
        let read = tokio::time::timeout(TIMEOUT, gate.take(MAX_ANSWER).read_to_string(&mut answer)).await;
        match (read, Message::parse(&answer)) {
            (Err(_), _) => Err(LauncherError::Timeout),
            (_, Some(Message::Error(error))) => Err(LauncherError::Told(error)),
            // The socket is closed by the exec. (A process that is killed right then has run, and ended.)
            _ => Ok(()),
        }
    }

    /// Sends a signal to all processes; frozen ones are thawed for the last of them.
    pub(crate) async fn kill_all(&self, signal: u32) -> Result<(), LauncherError> {
        self.cgroup.signal(signal.cast_signed())?;
        self.thaw_for(signal).await
    }

    /// Sends a signal to the first process, `pid`; a frozen one is thawed for the last of them.
    pub(crate) async fn kill(&self, pid: u32, signal: u32) -> Result<(), LauncherError> {
        sys::kill(pid.cast_signed(), signal.cast_signed()).map_err(|_| LauncherError::Gone)?;
        self.thaw_for(signal).await
    }

    async fn thaw_for(&self, signal: u32) -> Result<(), LauncherError> {
        if signal == libc::SIGKILL.cast_unsigned() {
            self.cgroup.freeze(false).await?;
        }
        Ok(())
    }

    pub(crate) async fn pause(&self) -> Result<(), LauncherError> {
        Ok(self.cgroup.freeze(true).await?)
    }

    pub(crate) async fn resume(&self) -> Result<(), LauncherError> {
        Ok(self.cgroup.freeze(false).await?)
    }

    /// Changes limits to those of the file.
    pub(crate) fn update(&self, resources: &Path) -> Result<(), LauncherError> {
        let text = fs::read(resources).map_err(failed(resources.display().to_string()))?;
        let resources = serde_json::from_slice(&text).map_err(LauncherError::Resources)?;
        Ok(self.cgroup.update(&resources)?)
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.cgroup.processes().into_iter().map(i32::cast_unsigned).collect()
    }

    /// Kills what is left, and removes the cgroup.
    pub(crate) async fn delete(&self) -> Result<(), LauncherError> {
        self.cgroup.remove().await?;
        // Not before: a process that waits to be started would end by itself, with another status.
        drop(self.gate.lock().await.take());
        Ok(())
    }
}

/// Waits until the container is made. The pid of its first process.
async fn made(answers: &mut (impl AsyncBufReadExt + Unpin)) -> Result<i32, LauncherError> {
    let (mut pid, mut ready, mut line) = (None, false, String::new());
    loop {
        line.clear();
        let read = answers.read_line(&mut line).await.unwrap_or(0);
        match Message::parse(&line) {
            Some(Message::Pid(born)) => pid = Some(born),
            Some(Message::Ready) => ready = true,
            Some(Message::Error(error)) => return Err(LauncherError::Told(error)),
            None if read == 0 => return Err(LauncherError::Ended),
            None => {}
        }
        if let (Some(pid), true) = (pid, ready) {
            return Ok(pid);
        }
    }
}
