//! One container: made by [`create`], watched until its end, removed by [`Container::delete`].

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use containerd_shim::{
    api::CreateTaskRequest,
    asynchronous::io::Stdio,
    protos::events::task::{TaskExecStarted, TaskExit, TaskOOM, TaskStart},
};
use tokio_util::task::TaskTracker;

use crate::{
    bundle::Bundle,
    cgroup::ContainerCgroup,
    code::Code,
    console::Console,
    error::ShimError,
    events::Events,
    exit::Exit,
    image,
    launch::ContainerSpec,
    options::RuntimeOptions,
    process::Process,
    reaper::{ExitWaiter, Reaper},
    runc::{Runc, Streams},
    runtime::{Runtime, RuntimeError},
    state::State,
    stdio,
};

/// How long a deleted container's first process may take to be reaped: it is dead already.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);

/// What all containers of the shim share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) namespace: String,
    /// containerd's own socket, for the modules of artifacts.
    pub(crate) containerd: String,
    pub(crate) reaper: Reaper,
    pub(crate) events: Events,
    pub(crate) tasks: TaskTracker,
}

/// What runs in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Native,
    Wasm,
}

/// A container that exists.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) bundle: Bundle,
    pub(crate) kind: Kind,
    pub(crate) runtime: Runtime,
    pub(crate) options: RuntimeOptions,
    pub(crate) init: Process,
    pub(crate) cgroup: ContainerCgroup,
    /// Without a pid namespace of its own, the end of the first process does not end the others.
    owns_pid_namespace: bool,
    /// Compiled code that it has mapped: held here, it is not evicted from the node's cache.
    _code: Vec<Code>,
    execs: Mutex<HashMap<String, Arc<Exec>>>,
}

/// A process executed in a container.
pub(crate) struct Exec {
    pub(crate) process: Process,
    /// What it runs: a `Process` of the OCI specification in JSON.
    pub(crate) spec: PathBuf,
    pub(crate) pid_file: PathBuf,
}

/// Makes a container. On an error nothing of it is left but the bundle, which is containerd's.
pub(crate) async fn create(request: &CreateTaskRequest, shared: &Shared) -> Result<Arc<Container>, ShimError> {
    if !request.checkpoint.is_empty() {
        return Err(ShimError::Unimplemented("restoring a checkpoint"));
    }
    let bundle = Bundle::new(&request.bundle);
    let options = RuntimeOptions::from_any(request.options.as_ref())?;
    options.save(bundle.path())?;
    let runc = Runc::new(&options, &shared.namespace, bundle.path(), &request.id, &shared.reaper)?;
    bundle.mount(&request.rootfs).await?;
    let created = set_up(request, shared, &bundle, options, runc.clone()).await;
    if created.is_err() {
        undo(&bundle, &Runtime::of_bundle(bundle.path(), runc, &shared.reaper)).await;
    }
    created
}

async fn set_up(
    request: &CreateTaskRequest,
    shared: &Shared,
    bundle: &Bundle,
    options: RuntimeOptions,
    runc: Runc,
) -> Result<Arc<Container>, ShimError> {
    let config = bundle.config()?;
    let spec = ContainerSpec::parse(&config)?;
    let (kind, code) = image::prepare(&request.id, bundle, config, &spec, &options, shared).await?;
    let runtime = Runtime::choose(kind, &options, bundle, runc, &shared.reaper);
    let process = Process::new(Stdio::new(&request.stdin, &request.stdout, &request.stderr, request.terminal));
    let hold = shared.reaper.hold();
    let pid = spawn(&process, &options, async |console, streams| runtime.create(console, streams).await).await?;
    let exited = hold.adopt(pid);
    let container = Arc::new(Container {
        id: request.id.clone(),
        bundle: bundle.clone(),
        kind,
        runtime,
        options,
        init: process,
        cgroup: ContainerCgroup::of_process(pid),
        owns_pid_namespace: spec.owns_pid_namespace(),
        _code: code,
        execs: Mutex::default(),
    });
    shared.tasks.spawn(watch(container.clone(), exited, shared.events.clone()));
    Ok(container)
}

async fn undo(bundle: &Bundle, runtime: &Runtime) {
    if let Err(error) = runtime.delete().await {
        log::warn!("after a failed create: {error}");
    }
    if let Err(error) = bundle.unmount() {
        log::warn!("after a failed create: {error}");
    }
    bundle.clean();
}

/// Starts a process through the OCI runtime with its streams connected. Its pid.
async fn spawn<F>(process: &Process, options: &RuntimeOptions, call: F) -> Result<i32, ShimError>
where
    F: AsyncFnOnce(Option<&Path>, Streams) -> Result<i32, RuntimeError>,
{
    if process.stdio.terminal {
        let console = Console::bind()?;
        let pid = call(Some(console.path()), Streams::null()).await?;
        let terminal = console.receive().await?;
        stdio::connect_terminal(&process.stdio, &terminal, &process.io)?;
        process.born(pid, Some(terminal));
        return Ok(pid);
    }
    let (streams, input) = stdio::prepare(&process.stdio, options)?.split();
    let pid = call(None, streams).await?;
    stdio::connect(&process.stdio, input, &process.io)?;
    process.born(pid, None);
    Ok(pid)
}

/// Waits for the end of the first process, and reports it.
async fn watch(container: Arc<Container>, exited: ExitWaiter, events: Events) {
    let Ok(exit) = exited.await else { return };
    // The start is reported first.
    let _order = container.init.order.lock().await;
    if !container.owns_pid_namespace
        && let Err(error) = container.runtime.kill_all(9).await
        && !error.is_gone()
    {
        log::warn!("what is left of {}: {error}", container.id);
    }
    if container.cgroup.finish() {
        events.publish(TaskOOM { container_id: container.id.clone(), ..TaskOOM::new() });
    }
    container.init.stop(exit);
    publish_exit(&events, &container.id, &container.id, container.init.pid(), exit);
}

fn publish_exit(events: &Events, container: &str, process: &str, pid: u32, exit: Exit) {
    events.publish(TaskExit {
        container_id: container.to_owned(),
        id: process.to_owned(),
        pid,
        exit_status: exit.status,
        exited_at: Some(exit.timestamp()).into(),
        ..TaskExit::new()
    });
}

impl Container {
    /// Runs what was created. Its pid.
    pub(crate) async fn start(&self, events: &Events) -> Result<u32, ShimError> {
        let _order = self.init.order.lock().await;
        self.init.state().start()?;
        self.runtime.start().await?;
        self.init.change(State::start)?;
        let pid = self.init.pid();
        events.publish(TaskStart { container_id: self.id.clone(), pid, ..TaskStart::new() });
        Ok(pid)
    }

    /// Removes it from the host. It has ended, or never ran.
    pub(crate) async fn delete(&self) -> Result<Exit, ShimError> {
        self.init.state().delete()?;
        self.runtime.delete().await?;
        let reaped = tokio::time::timeout(REAP_TIMEOUT, self.init.wait()).await;
        let exit = reaped.map_err(|_| ShimError::Io {
            context: format!("process {} of the deleted container", self.init.pid()),
            source: std::io::ErrorKind::TimedOut.into(),
        })?;
        self.init.io.shutdown().await;
        self.bundle.unmount()?;
        self.bundle.clean();
        Ok(exit)
    }

    /// Sends a signal to the first process, or to all.
    pub(crate) async fn kill(&self, signal: u32, all: bool) -> Result<(), ShimError> {
        if self.init.state().exit().is_some() && !all {
            return Err(ShimError::Finished);
        }
        // A frozen process takes no signal: the runtime thaws it for SIGKILL.
        let frozen = self.init.state() == State::Paused;
        let killed = match (all, frozen || !Process::can_signal(signal)) {
            (true, _) => self.runtime.kill_all(signal).await,
            (false, true) => self.runtime.kill(self.init.pid(), signal).await,
            (false, false) => return self.init.signal(signal),
        };
        killed.map_err(|error| if error.is_gone() { ShimError::Finished } else { error.into() })
    }

    pub(crate) fn exec(&self, id: &str) -> Result<Arc<Exec>, ShimError> {
        let missing = || ShimError::NoExec { container: self.id.clone(), exec: id.to_owned() };
        self.execs().get(id).cloned().ok_or_else(missing)
    }

    /// Announces a process; [`Self::start_exec`] runs it.
    pub(crate) fn add_exec(&self, id: &str, stdio: Stdio, spec: &[u8]) -> Result<(), ShimError> {
        let plain = !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !plain {
            // It becomes part of file names.
            let expected = "letters, digits, dashes, dots and underscores";
            return Err(ShimError::Invalid { what: "exec id", value: id.to_owned(), expected });
        }
        let file = |suffix: &str| self.bundle.path().join(format!("exec-{id}.{suffix}"));
        let exec = Exec { process: Process::new(stdio), spec: file("json"), pid_file: file("pid") };
        let mut execs = self.execs();
        if execs.contains_key(id) {
            return Err(ShimError::ExecExists { container: self.id.clone(), exec: id.to_owned() });
        }
        std::fs::write(&exec.spec, spec).map_err(ShimError::io(exec.spec.display().to_string()))?;
        execs.insert(id.to_owned(), Arc::new(exec));
        Ok(())
    }

    /// Runs an announced process. Its pid.
    pub(crate) async fn start_exec(self: &Arc<Self>, id: &str, shared: &Shared) -> Result<u32, ShimError> {
        let exec = self.exec(id)?;
        let order = exec.process.order.lock().await;
        exec.process.state().start()?;
        let hold = shared.reaper.hold();
        let call = async |console: Option<&Path>, streams| self.runtime.exec(&exec.spec, &exec.pid_file, console, streams).await;
        let pid = spawn(&exec.process, &self.options, call).await?;
        let exited = hold.adopt(pid);
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
            let Ok(exit) = exited.await else { return };
            let _order = watched.process.order.lock().await;
            watched.process.stop(exit);
            publish_exit(&events, &container, &id, watched.process.pid(), exit);
        });
        Ok(exec.process.pid())
    }

    /// Forgets a process that has ended, or that never ran.
    pub(crate) async fn delete_exec(&self, id: &str) -> Result<(u32, Exit), ShimError> {
        let exec = self.exec(id)?;
        exec.process.state().delete()?;
        exec.process.io.shutdown().await;
        self.execs().remove(id);
        for file in [&exec.spec, &exec.pid_file] {
            // The pid file is missing when it never ran.
            std::fs::remove_file(file).unwrap_or_default();
        }
        let never_ran = Exit { status: 0, at: std::time::SystemTime::now() };
        Ok((exec.process.pid(), exec.process.state().exit().unwrap_or(never_ran)))
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
