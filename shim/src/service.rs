//! The life of the shim's processes.
//!
//! ```text
//! containerd --start--> start_shim --spawns--> server (create_task_service … wait): one per pod
//!            --delete-> delete_shim: the server is gone, clean up after it within containerd's 5 s
//! ```
//! A pod's containers are grouped by the sandbox id that containerd's CRI writes into each `config.json`; containerd 2
//! calls `start` for the sandbox only, and connects to that server for the others.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use containerd_shim::{
    Config, DeleteResponse, ExitSignal, Flags, Shim, StartOpts,
    asynchronous::{publisher::RemotePublisher, spawn},
    protos::{
        protobuf::well_known_types::any::Any,
        types::introspection::{RuntimeInfo, RuntimeVersion},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    any,
    bundle::Bundle,
    container::Shared,
    error::ShimError,
    events,
    exit::{self, KILLED},
    launch::ContainerSpec,
    logging,
    options::RuntimeOptions,
    reaper::Reaper,
    runc::Runc,
    runtime::Runtime,
    task::TaskService,
};

/// What containerd's configuration calls the runtime.
const RUNTIME: &str = "io.containerd.perigee.v1";
/// containerd's `address` file: where the server of this bundle listens.
const ADDRESS: &str = "address";
/// For the runtime's part of `delete`, of the 5 s that containerd gives it in all.
const DELETE_TIMEOUT: Duration = Duration::from_secs(3);
/// The key under which containerd finds runc's features: its Go type's name, as `typeurl` registers it.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// Does what the command line says.
pub(crate) async fn run() {
    if std::env::args().skip(1).any(|arg| matches!(arg.as_str(), "-v" | "--version" | "-version")) {
        let line = format!("containerd-shim-perigee-v1:\n  Version:  {}\n", env!("CARGO_PKG_VERSION"));
        // With stdout closed there is nobody to tell.
        std::io::stdout().write_all(line.as_bytes()).unwrap_or_default();
        return;
    }
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    // The library's reaper loses exits that come before anybody asks; ours does not (see reaper.rs).
    // Its logger waits for whoever reads the log (see logging.rs).
    let config = Config { no_reaper: true, no_setup_logger: true, ..Config::default() };
    containerd_shim::asynchronous::run::<Service>(RUNTIME, Some(config)).await;
}

/// One run of the binary, whatever it was called for.
pub(crate) struct Service {
    id: String,
    namespace: String,
    containerd: String,
    /// Of the server; empty otherwise.
    socket: String,
    debug: bool,
    /// Given to `delete` only.
    bundle: PathBuf,
    exit: Arc<ExitSignal>,
    /// Ends the tasks below.
    stop: CancellationToken,
    tasks: TaskTracker,
    /// The sender of events alone, because it ends last.
    forwarder: TaskTracker,
}

#[async_trait]
impl Shim for Service {
    type T = TaskService;

    async fn new(_: &str, flags: &Flags, _: &mut Config) -> Self {
        Self {
            id: flags.id.clone(),
            namespace: flags.namespace.clone(),
            containerd: flags.address.clone(),
            socket: flags.socket.clone(),
            debug: flags.debug,
            bundle: flags.bundle.clone().into(),
            exit: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            forwarder: TaskTracker::new(),
        }
    }

    async fn start_shim(&mut self, mut start: StartOpts) -> containerd_shim::Result<String> {
        let bundle = Bundle::new(std::env::current_dir().map_err(|error| library("the bundle", error))?);
        let config = bundle.config().map_err(|error| library("start", error))?;
        let spec = ContainerSpec::parse(&config).map_err(|error| library("start", error))?;
        let group = spec.sandbox_id().unwrap_or(&start.id).to_owned();
        // The library finds the shim's cgroup in one of the two forms of options only.
        let options = start.extensions.iter().find_map(|any| RuntimeOptions::from_any(Some(any)).ok()).unwrap_or_default();
        // Which it reads slowly (see `any.rs`), so only where there is one.
        start.extensions = if options.shim_cgroup.is_empty() { Vec::new() } else { vec![any::pack(&options.to_runc())?] };
        let address = spawn(start, &group, Vec::new()).await?;
        std::fs::write(bundle.path().join(ADDRESS), &address).map_err(|error| library("the address file", error))?;
        Ok(address)
    }

    async fn delete_shim(&mut self) -> containerd_shim::Result<DeleteResponse> {
        let path = if self.bundle.as_os_str().is_empty() {
            std::env::current_dir().map_err(|error| library("the bundle", error))?
        } else {
            self.bundle.clone()
        };
        clean_up(&Bundle::new(&path), &self.id, &self.namespace).await;
        let pid = std::fs::read_to_string(path.join("init.pid")).ok().and_then(|text| text.trim().parse().ok());
        Ok(DeleteResponse {
            pid: pid.unwrap_or(0),
            exit_status: KILLED,
            exited_at: Some(exit::timestamp(SystemTime::now())).into(),
            ..DeleteResponse::default()
        })
    }

    async fn wait(&mut self) {
        self.exit.wait().await;
        // Here and not by the `address` file, which containerd may already have removed with the bundle.
        remove_socket(&self.socket);
        self.tasks.close();
        self.stop.cancel();
        self.forwarder.close();
        self.forwarder.wait().await;
    }

    async fn create_task_service(&self, publisher: RemotePublisher) -> TaskService {
        // A pod is better without its shim's log than not at all, and there is nowhere else to say so.
        logging::start(self.debug).unwrap_or_default();
        let (events, forwarder) = events::channel(&self.namespace, &publisher.address);
        self.forwarder.spawn(forwarder.run(self.stop.clone()));
        let reaper = match Reaper::new() {
            Ok((reaper, run)) => {
                self.tasks.spawn(run);
                reaper
            }
            // Without it no container could be waited for, so none must be accepted.
            Err(error) => {
                log::error!("the shim cannot wait for processes: {error}");
                self.exit.signal();
                Reaper::default()
            }
        };
        let shared = Shared {
            namespace: self.namespace.clone(),
            containerd: self.containerd.clone(),
            reaper,
            events,
            tasks: self.tasks.clone(),
        };
        let service = TaskService::new(shared, self.exit.clone());
        self.tasks.spawn(service.clone().end_when_abandoned());
        service
    }

    fn runtime_info(id: &str, options: Option<&Any>) -> containerd_shim::Result<RuntimeInfo> {
        let options = RuntimeOptions::from_any(options).map_err(|error| library("options", error))?;
        let version = RuntimeVersion { version: env!("CARGO_PKG_VERSION").to_owned(), ..RuntimeVersion::default() };
        Ok(RuntimeInfo {
            name: id.to_owned(),
            version: Some(version).into(),
            features: features(&options).into(),
            ..RuntimeInfo::default()
        })
    }
}

/// What the OCI runtime can do, in its own words: containerd lets a pod have a user namespace only when it is told.
fn features(options: &RuntimeOptions) -> Option<Any> {
    let output = Command::new(options.binary().ok()?).arg("features").output().ok()?;
    let known = output.status.success() && serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok();
    known.then(|| Any { type_url: FEATURES.to_owned(), value: output.stdout, ..Any::default() })
}

/// Removes whatever a dead shim left of a container. What fails is logged to stderr, which containerd logs, and the rest
/// is done all the same.
async fn clean_up(bundle: &Bundle, id: &str, namespace: &str) {
    match tokio::time::timeout(DELETE_TIMEOUT, kill_and_delete(bundle, id, namespace)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn(&error.to_string()),
        Err(_) => warn("the container is not deleted in time"),
    }
    if let Err(error) = bundle.unmount() {
        warn(&error.to_string());
    }
    bundle.clean();
    // The server of a container that joined a pod is the pod's: it has no address file, or is alive.
    if let Ok(address) = std::fs::read_to_string(bundle.path().join(ADDRESS))
        && std::os::unix::net::UnixStream::connect(socket_path(&address)).is_err()
    {
        remove_socket(&address);
    }
}

async fn kill_and_delete(bundle: &Bundle, id: &str, namespace: &str) -> Result<(), ShimError> {
    let options = RuntimeOptions::load(bundle.path())?;
    let (reaper, run) = Reaper::new().map_err(ShimError::io("waiting for the runtime"))?;
    let runc = Runc::new(&options, namespace, bundle.path(), id, &reaper)?;
    let runtime = Runtime::of_bundle(bundle.path(), runc, &reaper);
    tokio::select! {
        deleted = runtime.delete() => Ok(deleted?),
        () = run => Ok(()),
    }
}

fn warn(message: &str) {
    // With stderr closed there is nobody to tell.
    writeln!(std::io::stderr(), "{message}").unwrap_or_default();
}

fn socket_path(address: &str) -> &Path {
    Path::new(address.strip_prefix("unix://").unwrap_or(address))
}

fn remove_socket(address: &str) {
    match std::fs::remove_file(socket_path(address)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => log::warn!("{address}: {error}"),
        _ => {}
    }
}

fn library(context: &str, error: impl std::fmt::Display) -> containerd_shim::Error {
    containerd_shim::Error::Other(format!("{context}: {error}"))
}
