//! One container: made by [`create`], watched until its end, removed by [`Container::delete`].

mod exec;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use containerd_shim::{
    api::CreateTaskRequest,
    asynchronous::io::Stdio,
    protos::events::task::{TaskExit, TaskOOM, TaskStart},
};
use tokio_util::task::TaskTracker;

pub(crate) use exec::Exec;
use exec::Execs;

use crate::{
    bundle::Bundle,
    cgroup::ContainerCgroup,
    code::Code,
    console::Console,
    control::Control,
    error::ShimError,
    events::Events,
    exit::Exit,
    image,
    launch::{self, ContainerSpec},
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
    /// The app of an ActorApp, with limits of its own.
    App,
    /// A module, whose actors may use what the container may.
    Plain,
}

/// A container that exists.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) bundle: Bundle,
    kind: Kind,
    /// Of the worker, in a Wasm container.
    control: Option<Control>,
    pub(crate) runtime: Runtime,
    options: RuntimeOptions,
    pub(crate) init: Process,
    pub(crate) cgroup: ContainerCgroup,
    /// Without a pid namespace of its own, the end of the first process does not end the others.
    owns_pid_namespace: bool,
    /// Compiled code that it has mapped: held here, it is not evicted from the node's cache.
    _code: Vec<Code>,
    /// Held while it is paused, resumed, changed or removed, so that one of these comes after the other. Taken before any
    /// `order` of its processes.
    changes: tokio::sync::Mutex<Presence>,
    execs: Mutex<Execs>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Removed,
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
    let control = (kind != Kind::Native).then(|| Control::new(bundle.path()));
    let listener = control.as_ref().map(Control::listen).transpose().map_err(ShimError::io("the worker's control socket"))?;
    let hold = shared.reaper.hold();
    let create = async |console: Option<&Path>, streams: Streams| runtime.create(console, Streams { listener, ..streams }).await;
    let pid = spawn(&process, &options, create).await?;
    let exited = hold.adopt(pid);
    let container = Arc::new(Container {
        id: request.id.clone(),
        bundle: bundle.clone(),
        kind,
        control,
        runtime,
        options,
        init: process,
        cgroup: ContainerCgroup::of_process(pid),
        owns_pid_namespace: spec.owns_pid_namespace(),
        _code: code,
        changes: tokio::sync::Mutex::new(Presence::There),
        execs: Mutex::default(),
    });
    shared.tasks.spawn(watch_memory(container.clone(), shared.events.clone()));
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
        process.born(pid, Some(terminal), Vec::new());
        return Ok(pid);
    }
    let stdio::Prepared { streams, ours } = stdio::prepare(&process.stdio, options)?;
    let pid = call(None, streams).await?;
    let outputs = stdio::connect(&process.stdio, ours, &process.io)?;
    process.born(pid, None, outputs);
    Ok(pid)
}

/// Waits for the end of the first process, and reports it.
async fn watch(container: Arc<Container>, exited: ExitWaiter, events: Events) {
    let Ok(exit) = exited.await else { return };
    // The start is reported first.
    let order = container.init.order.lock().await;
    if !container.owns_pid_namespace
        && let Err(error) = container.runtime.kill_all(9).await
        && !error.is_gone()
    {
        log::warn!("what is left of {}: {error}", container.id);
    }
    container.last_execs().await;
    if container.cgroup.finish() {
        publish_oom(&events, &container.id);
    }
    container.init.stop(exit);
    publish_exit(&events, &container.id, &container.id, container.init.pid(), exit);
    drop(order);
    container.init.leave_outputs().await;
}

/// Tells of each time that the kernel kills a process for want of memory, when it does.
async fn watch_memory(container: Arc<Container>, events: Events) {
    tokio::select! {
        // What came last is told with the exit.
        _ = container.init.wait() => {}
        () = container.cgroup.watch(|| publish_oom(&events, &container.id)) => {}
    }
}

fn publish_oom(events: &Events, container: &str) {
    events.publish(TaskOOM { container_id: container.to_owned(), ..TaskOOM::new() });
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

    pub(crate) async fn pause(&self) -> Result<(), ShimError> {
        let _changes = self.changes.lock().await;
        self.init.state().pause()?;
        self.runtime.pause().await?;
        Ok(self.init.change(State::pause)?)
    }

    pub(crate) async fn resume(&self) -> Result<(), ShimError> {
        let _changes = self.changes.lock().await;
        self.init.state().resume()?;
        self.runtime.resume().await?;
        Ok(self.init.change(State::resume)?)
    }

    /// Changes limits: of the cgroup, and where the worker's actors have the container's, theirs.
    pub(crate) async fn update(&self, resources: &[u8]) -> Result<(), ShimError> {
        let _changes = self.changes.lock().await;
        self.init.state().update()?;
        let file = self.bundle.path().join("resources.json");
        std::fs::write(&file, resources).map_err(ShimError::io(file.display().to_string()))?;
        self.runtime.update(&file).await?;
        let memory = launch::updated_memory(resources).filter(|_| self.kind == Kind::Plain);
        if let (Some(memory), Some(control), State::Running) = (memory, &self.control, self.init.state())
            && let Err(error) = control.limit(launch::MAIN, memory).await
        {
            // The cgroup's limit holds in any case; the actors' own is the smaller evil.
            log::warn!("the worker of {} does not take the new limit: {error}", self.id);
        }
        Ok(())
    }

    /// Removes it from the host. It has ended, or never ran.
    pub(crate) async fn delete(&self) -> Result<Exit, ShimError> {
        let mut changes = self.changes.lock().await;
        if *changes == Presence::Removed {
            return Err(ShimError::NoContainer(self.id.clone()));
        }
        self.init.state().delete()?;
        self.runtime.delete().await?;
        let reaped = tokio::time::timeout(REAP_TIMEOUT, self.init.wait()).await;
        let exit = reaped.map_err(|_| ShimError::Io {
            context: format!("process {} of the deleted container", self.init.pid()),
            source: std::io::ErrorKind::TimedOut.into(),
        })?;
        self.init.release_streams().await;
        self.bundle.unmount()?;
        self.bundle.clean();
        *changes = Presence::Removed;
        Ok(exit)
    }

    /// Sends a signal to the first process, or to all.
    pub(crate) async fn kill(&self, signal: u32, all: bool) -> Result<(), ShimError> {
        if self.init.state().exit().is_some() {
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
}
