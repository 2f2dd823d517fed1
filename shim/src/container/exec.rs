//! What is executed in a container that runs: processes in a native one, sessions with the worker in a Wasm one.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError},
};

use containerd_shim::{asynchronous::io::Stdio, protos::events::task::TaskExecStarted};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::{Container, REAP_TIMEOUT, Shared, publish_exit, spawn};
use crate::{
    control::Control,
    error::ShimError,
    exit::{Exit, KILLED},
    process::Process,
    reaper::ExitWaiter,
    session,
    state::State,
    stdio,
};

/// A process executed in a container.
pub(crate) struct Exec {
    pub(crate) process: Process,
    args: Vec<String>,
    /// What it runs: a `Process` of the OCI specification in JSON.
    spec: PathBuf,
    pid_file: PathBuf,
}

#[derive(Default)]
pub(super) struct Execs {
    known: HashMap<String, Arc<Exec>>,
    /// The first process has ended: none is started any more.
    closed: bool,
}

impl Container {
    pub(crate) fn exec(&self, id: &str) -> Result<Arc<Exec>, ShimError> {
        let missing = || ShimError::NoExec { container: self.id.clone(), exec: id.to_owned() };
        self.execs().known.get(id).cloned().ok_or_else(missing)
    }

    /// Announces a process; [`Self::start_exec`] runs it.
    pub(crate) fn add_exec(&self, id: &str, stdio: Stdio, spec: &[u8]) -> Result<(), ShimError> {
        self.init.state().exec()?;
        let plain = !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !plain {
            // It becomes part of file names.
            let expected = "letters, digits, dashes, dots and underscores";
            return Err(ShimError::Invalid { what: "exec id", value: id.to_owned(), expected });
        }
        let file = |suffix: &str| self.bundle.path().join(format!("exec-{id}.{suffix}"));
        let invalid = |error: serde_json::Error| ShimError::Invalid {
            what: "process",
            value: error.to_string(),
            expected: "a process of the OCI specification",
        };
        let mut spec: serde_json::Value = serde_json::from_slice(spec).map_err(invalid)?;
        let args = Vec::deserialize(&spec["args"]).map_err(invalid)?;
        // Of the two that say it, this one has made the streams.
        spec["terminal"] = stdio.terminal.into();
        let exec = Exec { process: Process::new(stdio), args, spec: file("json"), pid_file: file("pid") };
        let mut execs = self.execs();
        if execs.known.contains_key(id) {
            return Err(ShimError::ExecExists { container: self.id.clone(), exec: id.to_owned() });
        }
        if self.control.is_none() {
            std::fs::write(&exec.spec, spec.to_string()).map_err(ShimError::io(exec.spec.display().to_string()))?;
        }
        execs.known.insert(id.to_owned(), Arc::new(exec));
        Ok(())
    }

    /// Runs an announced process. Its pid.
    pub(crate) async fn start_exec(self: &Arc<Self>, id: &str, shared: &Shared) -> Result<u32, ShimError> {
        let exec = self.exec(id)?;
        let order = exec.process.order.lock().await;
        if self.execs().closed {
            return Err(ShimError::NotRunning(self.id.clone()));
        }
        exec.process.state().start()?;
        let exited = match &self.control {
            Some(control) => self.open_session(&exec, control, shared)?,
            None => {
                let hold = shared.reaper.hold();
                let call =
                    async |console: Option<&Path>, streams| self.runtime.exec(&exec.spec, &exec.pid_file, console, streams).await;
                let pid = spawn(&exec.process, &self.options, call).await?;
                hold.adopt(pid)
            }
        };
        exec.process.change(State::start)?;
        shared.events.publish(TaskExecStarted {
            container_id: self.id.clone(),
            exec_id: id.to_owned(),
            pid: exec.process.pid(),
            ..TaskExecStarted::new()
        });
        drop(order);
        let (container, events) = (self.id.clone(), shared.events.clone());
        let (id, watched) = (id.to_owned(), exec.clone());
        shared.tasks.spawn(async move {
            let exit = exited.await.unwrap_or_else(|_| Exit::now(KILLED));
            let order = watched.process.order.lock().await;
            watched.process.stop(exit);
            publish_exit(&events, &container, &id, watched.process.pid(), exit);
            drop(order);
            watched.process.leave_outputs().await;
        });
        Ok(exec.process.pid())
    }

    /// Lets an exec talk to the worker.
    fn open_session(&self, exec: &Arc<Exec>, control: &Control, shared: &Shared) -> Result<ExitWaiter, ShimError> {
        let outputs = stdio::hold(&exec.process.stdio)?;
        let wishes = exec.process.opened(self.init.pid().cast_signed(), outputs);
        let (told, exited) = oneshot::channel();
        let (control, exec) = (control.clone(), exec.clone());
        shared.tasks.spawn(async move {
            let status = session::relay(&control, &exec.args, &exec.process.stdio, wishes).await;
            // It is told to a task that does not end before.
            told.send(Exit::now(status)).unwrap_or_default();
        });
        Ok(exited)
    }

    /// Waits for the ends of executed processes, which containerd is to hear of before that of the first one. They have
    /// ended with it.
    pub(super) async fn last_execs(&self) {
        let execs: Vec<_> = {
            let mut execs = self.execs();
            execs.closed = true;
            execs.known.values().cloned().collect()
        };
        let told = async {
            for exec in execs {
                // One that is just being started is waited for, too.
                drop(exec.process.order.lock().await);
                if exec.process.state() == State::Running {
                    exec.process.wait().await;
                    drop(exec.process.order.lock().await);
                }
            }
        };
        if tokio::time::timeout(REAP_TIMEOUT, told).await.is_err() {
            log::warn!("processes executed in {} outlive it", self.id);
        }
    }

    /// The executed process with that pid.
    pub(crate) fn exec_of(&self, pid: u32) -> Option<String> {
        let execs = self.execs();
        let mut known = execs.known.iter().filter(|_| self.control.is_none());
        known.find(|(_, exec)| exec.process.pid() == pid).map(|(id, _)| id.clone())
    }

    /// Forgets a process that has ended, or that never ran.
    pub(crate) async fn delete_exec(&self, id: &str) -> Result<(u32, Exit), ShimError> {
        let exec = self.exec(id)?;
        exec.process.state().delete()?;
        exec.process.release_streams().await;
        self.execs().known.remove(id);
        for file in [&exec.spec, &exec.pid_file] {
            // Missing when it never ran, or was a session.
            std::fs::remove_file(file).unwrap_or_default();
        }
        Ok((exec.process.pid(), exec.process.state().exit().unwrap_or_else(|| Exit::now(0))))
    }

    fn execs(&self) -> MutexGuard<'_, Execs> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
