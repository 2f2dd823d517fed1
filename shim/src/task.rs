//! containerd's calls (`containerd.task.v3.Task`), turned into calls of containers. No logic of its own.
//!
//! Each call runs as a task of its own: when containerd goes away in the middle of one, it is still finished, and when
//! one panics, it alone fails. The map of containers is locked for look-ups only, never while something is waited for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use containerd_shim::{
    ExitSignal, Task, TtrpcContext, TtrpcResult,
    api::{
        CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse,
        Empty, ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest, ResumeRequest,
        ShutdownRequest, StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest, StatsResponse,
        UpdateTaskRequest, WaitRequest, WaitResponse,
    },
    asynchronous::io::Stdio,
    protos::{
        api::{CheckpointTaskRequest, ProcessInfo},
        events::task::{TaskCreate, TaskDelete, TaskExecAdded, TaskIO, TaskPaused, TaskResumed},
        shim::oci::ProcessDetails,
    },
};

use crate::{
    any,
    container::{self, Container, Shared},
    error::ShimError,
    process::Process,
    state::State,
};

/// How often a shim without containers looks whether it was forgotten. The first one usually comes within a second.
const ABANDONED_CHECK: Duration = Duration::from_secs(2);

/// The containers of one pod.
#[derive(Clone)]
pub(crate) struct TaskService {
    shared: Shared,
    exit: Arc<ExitSignal>,
    pod: Arc<Mutex<Pod>>,
}

#[derive(Default)]
struct Pod {
    containers: HashMap<String, Slot>,
    /// Set when the shim ends, under the same lock: a container is either there before it, or refused.
    closed: bool,
}

enum Slot {
    Creating,
    Ready(Arc<Container>),
}

/// A process of a container by the ids of a request: the first one when `exec` is empty.
struct Target {
    container: Arc<Container>,
    exec: Option<Arc<container::Exec>>,
}

impl Target {
    fn process(&self) -> &Process {
        self.exec.as_ref().map_or(&self.container.init, |exec| &exec.process)
    }
}

impl TaskService {
    pub(crate) fn new(shared: Shared, exit: Arc<ExitSignal>) -> Self {
        Self { shared, exit, pod: Arc::default() }
    }

    /// Runs a call as a task of its own.
    async fn run<T, F>(&self, call: &'static str, body: impl FnOnce(Self) -> F + Send) -> TtrpcResult<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ShimError>> + Send + 'static,
    {
        let done = self.shared.tasks.spawn(body(self.clone())).await;
        let outcome = done.unwrap_or(Err(ShimError::Panicked(call)));
        outcome.map_err(|error| {
            log::debug!("{call}: {error}");
            error.into()
        })
    }

    fn pod(&self) -> MutexGuard<'_, Pod> {
        self.pod.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn container(&self, id: &str) -> Result<Arc<Container>, ShimError> {
        match self.pod().containers.get(id) {
            Some(Slot::Ready(container)) => Ok(container.clone()),
            Some(Slot::Creating) => Err(ShimError::Creating(id.to_owned())),
            None => Err(ShimError::NoContainer(id.to_owned())),
        }
    }

    fn target(&self, id: &str, exec: &str) -> Result<Target, ShimError> {
        let container = self.container(id)?;
        let exec = if exec.is_empty() { None } else { Some(container.exec(exec)?) };
        Ok(Target { container, exec })
    }

    fn reserve(&self, id: &str) -> Result<(), ShimError> {
        let mut pod = self.pod();
        if pod.closed {
            return Err(ShimError::ShuttingDown);
        }
        if pod.containers.contains_key(id) {
            return Err(ShimError::ContainerExists(id.to_owned()));
        }
        pod.containers.insert(id.to_owned(), Slot::Creating);
        Ok(())
    }

    async fn create_container(self, request: CreateTaskRequest) -> Result<CreateTaskResponse, ShimError> {
        self.reserve(&request.id)?;
        // A task of its own, so that the reservation ends even when it panics.
        let making = {
            let (request, shared) = (request.clone(), self.shared.clone());
            self.shared.tasks.spawn(async move { container::create(&request, &shared).await })
        };
        let container = match making.await.unwrap_or(Err(ShimError::Panicked("Create"))) {
            Ok(container) => container,
            Err(error) => {
                log::info!("container {} is not created: {error}", request.id);
                self.pod().containers.remove(&request.id);
                return Err(error);
            }
        };
        let pid = container.init.pid();
        self.pod().containers.insert(request.id.clone(), Slot::Ready(container));
        self.shared.events.publish(TaskCreate {
            container_id: request.id,
            bundle: request.bundle,
            rootfs: request.rootfs,
            io: Some(TaskIO {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
                ..TaskIO::new()
            })
            .into(),
            checkpoint: request.checkpoint,
            pid,
            ..TaskCreate::new()
        });
        Ok(CreateTaskResponse { pid, ..CreateTaskResponse::new() })
    }

    async fn delete_process(self, request: DeleteRequest) -> Result<DeleteResponse, ShimError> {
        let container = self.container(&request.id)?;
        let (pid, exit) = if request.exec_id.is_empty() {
            let exit = container.delete().await?;
            self.pod().containers.remove(&request.id);
            self.shared.events.publish(TaskDelete {
                container_id: request.id.clone(),
                id: request.id,
                pid: container.init.pid(),
                exit_status: exit.status,
                exited_at: Some(exit.timestamp()).into(),
                ..TaskDelete::new()
            });
            (container.init.pid(), exit)
        } else {
            container.delete_exec(&request.exec_id).await?
        };
        Ok(DeleteResponse { pid, exit_status: exit.status, exited_at: Some(exit.timestamp()).into(), ..DeleteResponse::new() })
    }

    async fn exec_process(self, request: ExecProcessRequest) -> Result<Empty, ShimError> {
        let container = self.container(&request.id)?;
        let stdio = Stdio::new(&request.stdin, &request.stdout, &request.stderr, request.terminal);
        container.add_exec(&request.exec_id, stdio, &request.spec.value)?;
        self.shared.events.publish(TaskExecAdded { container_id: request.id, exec_id: request.exec_id, ..TaskExecAdded::new() });
        Ok(Empty::new())
    }

    async fn update_container(self, request: UpdateTaskRequest) -> Result<Empty, ShimError> {
        self.container(&request.id)?.update(&request.resources.value).await?;
        Ok(Empty::new())
    }

    async fn pause_container(self, request: PauseRequest) -> Result<Empty, ShimError> {
        self.container(&request.id)?.pause().await?;
        self.shared.events.publish(TaskPaused { container_id: request.id, ..TaskPaused::new() });
        Ok(Empty::new())
    }

    async fn resume_container(self, request: ResumeRequest) -> Result<Empty, ShimError> {
        self.container(&request.id)?.resume().await?;
        self.shared.events.publish(TaskResumed { container_id: request.id, ..TaskResumed::new() });
        Ok(Empty::new())
    }

    /// Ends the shim when the folder that it was started in is removed before it was given a container. So does containerd
    /// when a start failed halfway, of which it knows no shim.
    pub(crate) async fn end_when_abandoned(self) {
        while self.pod().containers.is_empty() {
            if std::env::current_dir().is_err() {
                log::warn!("the bundle is gone, and nobody has asked for a container: the shim ends");
                return self.close();
            }
            tokio::time::sleep(ABANDONED_CHECK).await;
        }
    }

    /// Ends the shim when it has no containers left.
    fn close(&self) {
        let mut pod = self.pod();
        if pod.containers.is_empty() {
            pod.closed = true;
            self.exit.signal();
        }
    }
}

fn describe(request: StateRequest, target: &Target) -> StateResponse {
    let (process, container) = (target.process(), target.container.init.state());
    // What is executed in a frozen container is frozen, too.
    let state = if container == State::Paused { container } else { process.state() };
    let mut response = StateResponse {
        id: request.id,
        exec_id: request.exec_id,
        bundle: target.container.bundle.path().display().to_string(),
        pid: process.pid(),
        status: state.status().into(),
        stdin: process.stdio.stdin.clone(),
        stdout: process.stdio.stdout.clone(),
        stderr: process.stdio.stderr.clone(),
        terminal: process.stdio.terminal,
        ..StateResponse::new()
    };
    if let Some(exit) = state.exit() {
        response.exit_status = exit.status;
        response.exited_at = Some(exit.timestamp()).into();
    }
    response
}

/// A process of a container, with what containerd called it when it was executed there.
fn process_info(container: &Container, pid: u32) -> ProcessInfo {
    let details = container.exec_of(pid).map(|exec_id| ProcessDetails { exec_id, ..ProcessDetails::new() });
    let info = details.and_then(|details| any::pack(&details).ok());
    ProcessInfo { pid, info: info.into(), ..ProcessInfo::new() }
}

#[async_trait]
impl Task for TaskService {
    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> TtrpcResult<CreateTaskResponse> {
        self.run("Create", |service| service.create_container(request)).await
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> TtrpcResult<StartResponse> {
        self.run("Start", |service| async move {
            let container = service.container(&request.id)?;
            let pid = match request.exec_id.as_str() {
                "" => {
                    let pid = container.start(&service.shared.events).await?;
                    perigee_idle::give_back_when_started();
                    pid
                }
                exec => container.start_exec(exec, &service.shared).await?,
            };
            Ok(StartResponse { pid, ..StartResponse::new() })
        })
        .await
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> TtrpcResult<StateResponse> {
        let target = self.target(&request.id, &request.exec_id)?;
        Ok(describe(request, &target))
    }

    // Not a task of its own: it may wait for months, and has nothing to finish when its caller is gone.
    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> TtrpcResult<WaitResponse> {
        let target = self.target(&request.id, &request.exec_id)?;
        let exit = target.process().wait().await;
        Ok(WaitResponse { exit_status: exit.status, exited_at: Some(exit.timestamp()).into(), ..WaitResponse::new() })
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> TtrpcResult<Empty> {
        self.run("Kill", |service| async move {
            let target = service.target(&request.id, &request.exec_id)?;
            match &target.exec {
                None => target.container.kill(request.signal, request.all).await?,
                Some(exec) => exec.process.signal(request.signal)?,
            }
            Ok(Empty::new())
        })
        .await
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> TtrpcResult<DeleteResponse> {
        self.run("Delete", |service| service.delete_process(request)).await
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> TtrpcResult<Empty> {
        self.run("Exec", |service| service.exec_process(request)).await
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> TtrpcResult<Empty> {
        let target = self.target(&request.id, &request.exec_id)?;
        if let Some(exec) = &target.exec {
            exec.process.state().resize().map_err(ShimError::from)?;
        }
        target.process().resize(request.width, request.height)?;
        Ok(Empty::new())
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> TtrpcResult<Empty> {
        let target = self.target(&request.id, &request.exec_id)?;
        if request.stdin {
            target.process().io.close_input();
        }
        Ok(Empty::new())
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> TtrpcResult<PidsResponse> {
        self.run("Pids", |service| async move {
            let container = service.container(&request.id)?;
            let pids = container.runtime.pids().await?;
            let processes = pids.into_iter().map(|pid| process_info(&container, pid)).collect();
            Ok(PidsResponse { processes, ..PidsResponse::new() })
        })
        .await
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> TtrpcResult<Empty> {
        self.run("Pause", |service| service.pause_container(request)).await
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> TtrpcResult<Empty> {
        self.run("Resume", |service| service.resume_container(request)).await
    }

    async fn checkpoint(&self, _: &TtrpcContext, request: CheckpointTaskRequest) -> TtrpcResult<Empty> {
        self.container(&request.id)?;
        Err(ShimError::Unimplemented("a checkpoint").into())
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> TtrpcResult<Empty> {
        self.run("Update", |service| service.update_container(request)).await
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> TtrpcResult<StatsResponse> {
        let stats = self.container(&request.id)?.cgroup.metrics()?;
        Ok(StatsResponse { stats: Some(stats).into(), ..StatsResponse::new() })
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> TtrpcResult<ConnectResponse> {
        // containerd also asks before it has created anything; then there is only the shim to speak of.
        let task_pid = self.container(&request.id).map_or(0, |container| container.init.pid());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(ConnectResponse { shim_pid: std::process::id(), task_pid, version, ..ConnectResponse::new() })
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> TtrpcResult<Empty> {
        self.close();
        Ok(Empty::new())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn code_that_ran_is_given_back_and_runs_again() {
        // Reading JSON and TOML runs much of it.
        let parse = || {
            (
                serde_json::from_str::<serde_json::Value>("{\"a\": [1.5, null]}").unwrap(),
                toml::from_str::<toml::Table>("a = 1").unwrap(),
            )
        };
        let parsed = parse();
        let before = perigee_idle::code_in_memory().unwrap();
        perigee_idle::give_back();
        let after = perigee_idle::code_in_memory().unwrap();
        assert!(after < before, "{before} KiB before, {after} KiB after");
        assert_eq!(parse(), parsed);
    }
}
