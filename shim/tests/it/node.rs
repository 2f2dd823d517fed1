//! A node without containerd: folders for bundles, a server that takes events, and the shim with a stand-in worker.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use containerd_shim::{
    api::{
        ConnectRequest, CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse, ExecProcessRequest, KillRequest,
        PauseRequest, ResumeRequest, ShutdownRequest, StartRequest, UpdateTaskRequest, WaitRequest, WaitResponse,
    },
    protos::{
        api::{Empty, ForwardRequest},
        protobuf::{Message, well_known_types::any::Any},
        shim_async::{Client, Events, TaskClient, create_events},
        ttrpc::{
            self,
            asynchronous::{Server, TtrpcContext, transport::Listener},
            context::{self, Context},
        },
    },
};
use serde_json::{Value, json};

/// For a call, and for anything that a test waits for: far more than it takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Compiles a program of `programs/` once: static, because containers here have no libraries.
fn program(name: &str) -> PathBuf {
    static BUILT: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILT.lock().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/programs").join(name).with_extension("rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shim-programs");
    let program = folder.join(name);
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if modified(&program) <= modified(&source) {
        fs::create_dir_all(&folder).unwrap();
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let args = ["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"];
        let status = Command::new(rustc).args(args).arg(&program).arg(&source).status().unwrap();
        assert!(status.success(), "compiling {}", source.display());
    }
    program
}

/// Where they are run, they may not be what can be compiled: in the virtual machine of `make test-vm` there is no compiler.
#[test]
fn the_programs_of_containers_are_compiled() {
    for name in ["hello", "worker"] {
        assert!(program(name).is_file());
    }
}

/// What the shim needs of the machine. A test that is skipped in silence proves nothing.
fn require_root_and_runc() {
    assert!(rustix::process::geteuid().is_root(), "these tests make containers: run them as root");
    let runc = Command::new("runc").arg("--version").output();
    assert!(runc.is_ok_and(|runc| runc.status.success()), "these tests need runc in PATH: apt-get install runc");
}

/// Topics and messages of events, in the order of their coming.
#[derive(Clone, Default)]
pub(crate) struct Log {
    events: Arc<Mutex<Vec<(String, Any)>>>,
    /// How long the answer to each takes.
    answer_after: Arc<Mutex<Duration>>,
}

impl Log {
    /// The messages of one topic, decoded.
    pub(crate) fn of<M: Message>(&self, topic: &str) -> Vec<M> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|(own, _)| own == topic).map(|(_, event)| M::parse_from_bytes(&event.value).unwrap()).collect()
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|(topic, _)| topic.clone()).collect()
    }

    /// From now on, what sends an event waits so long until it knows that it came.
    pub(crate) fn answer_after(&self, time: Duration) {
        *self.answer_after.lock().unwrap() = time;
    }
}

#[async_trait::async_trait]
impl Events for Log {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        let envelope = request.envelope;
        self.events.lock().unwrap().push((envelope.topic.clone(), envelope.event.clone().unwrap_or_default()));
        let time = *self.answer_after.lock().unwrap();
        tokio::time::sleep(time).await;
        Ok(Empty::new())
    }
}

/// The node of one test.
pub(crate) struct Node {
    folder: tempfile::TempDir,
    pub(crate) events: Log,
    _server: Server,
}

impl Node {
    pub(crate) async fn new() -> Self {
        require_root_and_runc();
        let folder = tempfile::Builder::new().prefix("perigee-it-").tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_containerd-shim-perigee-v1"), bin.join("containerd-shim-perigee-v1")).unwrap();
        fs::copy(program("worker"), bin.join("perigee")).unwrap();
        let events = Log::default();
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("events.sock")).unwrap();
        let mut server = Server::new()
            .add_listener(Listener::try_from(listener).unwrap())
            .register_service(create_events(Arc::new(events.clone())));
        server.start().await.unwrap();
        Self { folder, events, _server: server }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn bundle_path(&self, id: &str) -> PathBuf {
        self.path().join("bundles").join(id)
    }

    /// The node's compiled code.
    pub(crate) fn code_cache(&self) -> PathBuf {
        self.path().join("code")
    }

    /// What the stand-in worker wrote about each time it compiled.
    pub(crate) fn compiled(&self) -> String {
        fs::read_to_string(self.path().join("bin/compiled")).unwrap_or_default()
    }

    /// State of the containers that runc knows.
    pub(crate) fn runc_state(&self) -> Vec<String> {
        let folder = fs::read_dir(self.path().join("runc/test"));
        folder.map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()).unwrap_or_default()
    }

    /// A container's bundle, with `hello` in it.
    pub(crate) fn bundle(&self, id: &str, args: &[&str], change: impl FnOnce(&mut Value, &Path)) -> Bundle {
        let path = self.bundle_path(id);
        let rootfs = path.join("rootfs");
        fs::create_dir_all(&rootfs).unwrap();
        fs::copy(program("hello"), rootfs.join("hello")).unwrap();
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": { "user": { "uid": 0, "gid": 0 }, "args": args, "env": ["PATH=/"], "cwd": "/" },
            "root": { "path": "rootfs", "readonly": true },
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
            "annotations": {},
            "linux": {
                "cgroupsPath": format!("/perigee-it/{}-{id}", self.path().file_name().unwrap().display()),
                "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
            },
        });
        change(&mut config, &rootfs);
        fs::write(path.join("config.json"), config.to_string()).unwrap();
        // containerd reads the shim's log here.
        fs::write(path.join("log"), "").unwrap();
        for stream in ["stdin", "stdout", "stderr"] {
            rustix::fs::mkfifoat(rustix::fs::CWD, path.join(stream), rustix::fs::Mode::RWXU).unwrap();
        }
        Bundle { path, id: id.to_owned() }
    }

    /// Runs the shim's binary as containerd does, and returns what it printed.
    pub(crate) fn call(&self, bundle: &Bundle, action: &str) -> Output {
        // Ignored signals are inherited: a container must not have them from who started containerd.
        let mut command = Command::new("env");
        command.arg("--ignore-signal=HUP,QUIT").arg(self.path().join("bin/containerd-shim-perigee-v1"));
        command.current_dir(&bundle.path).env("TTRPC_ADDRESS", self.path().join("events.sock"));
        command.args(["-namespace", "test", "-id", &bundle.id, "-address"]).arg(self.path().join("containerd.sock"));
        command.arg("-bundle").arg(&bundle.path).arg(action);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a shim for the bundle's pod.
    pub(crate) async fn start(&self, bundle: &Bundle) -> Shim {
        let output = self.call(bundle, "start");
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "start prints the address only: {output:?}");
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&reply["version"], &reply["protocol"]), (&json!(3), &json!("ttrpc")));
        let address = reply["address"].as_str().unwrap().to_owned();
        let client = TaskClient::new(Client::connect(&address).await.unwrap());
        Shim { client, address, runc: self.path().join("runc") }
    }
}

/// A container's folder.
pub(crate) struct Bundle {
    pub(crate) path: PathBuf,
    pub(crate) id: String,
}

impl Bundle {
    /// Reads a stream until `text` has come. The FIFO stays open, as containerd keeps it.
    pub(crate) async fn expect(&self, stream: &str, text: &str) -> String {
        let path = self.path.join(stream);
        let text = text.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
            let (mut all, mut piece) = (String::new(), [0; 4096]);
            while !all.contains(&text) {
                let read = file.read(&mut piece).unwrap();
                all.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
            all
        });
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("nothing on {stream}")).unwrap()
    }

    /// Opens a stream late and reads it to its end, as containerd does: for reading only, so that it waits for a writer.
    pub(crate) async fn read(&self, stream: &str) -> String {
        let (path, (tell, told)) = (self.path.join(stream), tokio::sync::oneshot::channel());
        // A thread of its own: where nobody comes to write, it waits for ever.
        std::thread::spawn(move || tell.send(fs::read_to_string(path).unwrap()));
        tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("no end of {stream}")).unwrap()
    }

    /// Keeps a stream open, as containerd does from before the container exists.
    pub(crate) fn hold(&self, stream: &str) -> fs::File {
        fs::OpenOptions::new().read(true).write(true).open(self.path.join(stream)).unwrap()
    }

    pub(crate) fn stream(&self, stream: &str) -> String {
        self.path.join(stream).to_str().unwrap().to_owned()
    }
}

/// A running shim.
pub(crate) struct Shim {
    pub(crate) client: TaskClient,
    pub(crate) address: String,
    runc: PathBuf,
}

pub(crate) fn call_context() -> Context {
    context::with_duration(PATIENCE)
}

impl Shim {
    pub(crate) fn request(&self, bundle: &Bundle) -> CreateTaskRequest {
        CreateTaskRequest {
            id: bundle.id.clone(),
            bundle: bundle.path.to_str().unwrap().to_owned(),
            stdout: bundle.stream("stdout"),
            stderr: bundle.stream("stderr"),
            options: Some(self.options("")).into(),
            ..CreateTaskRequest::new()
        }
    }

    /// The table of options, with `more` in it, as containerd hands it on: field 3 of its generic message.
    pub(crate) fn options(&self, more: &str) -> Any {
        let table = format!("Root = {:?}\nCodeCache = {:?}\n{more}", self.runc, self.runc.with_file_name("code"));
        let length = u8::try_from(table.len()).unwrap();
        let prefix = if length < 128 { vec![0x1a, length] } else { vec![0x1a, length, 1] };
        let value = [prefix, table.into_bytes()].concat();
        Any { type_url: "runtimeoptions.v1.Options".to_owned(), value, ..Any::default() }
    }

    pub(crate) async fn create(&self, bundle: &Bundle) -> ttrpc::Result<CreateTaskResponse> {
        self.client.create(call_context(), &self.request(bundle)).await
    }

    pub(crate) async fn run(&self, id: &str) -> u32 {
        self.client.start(call_context(), &StartRequest { id: id.to_owned(), ..StartRequest::new() }).await.unwrap().pid
    }

    pub(crate) async fn wait(&self, id: &str) -> WaitResponse {
        self.client.wait(call_context(), &WaitRequest { id: id.to_owned(), ..WaitRequest::new() }).await.unwrap()
    }

    pub(crate) async fn kill(&self, id: &str, signal: u32) -> ttrpc::Result<Empty> {
        self.client.kill(call_context(), &KillRequest { id: id.to_owned(), signal, ..KillRequest::new() }).await
    }

    pub(crate) async fn delete(&self, id: &str) -> ttrpc::Result<DeleteResponse> {
        self.client.delete(call_context(), &DeleteRequest { id: id.to_owned(), ..DeleteRequest::new() }).await
    }

    /// Announces a process in a container, with streams of its own.
    pub(crate) async fn exec(&self, bundle: &Bundle, exec_id: &str, args: &[&str], terminal: bool) -> ttrpc::Result<Empty> {
        for stream in ["stdin", "stdout", "stderr"] {
            let path = bundle.path.join(exec_stream(exec_id, stream));
            // A test may use an id again.
            if !path.exists() {
                rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
            }
        }
        let spec = json!({ "user": { "uid": 0, "gid": 0 }, "args": args, "env": ["PATH=/"], "cwd": "/" }).to_string();
        let stream = |stream: &str| bundle.stream(&exec_stream(exec_id, stream));
        let request = ExecProcessRequest {
            id: bundle.id.clone(),
            exec_id: exec_id.to_owned(),
            terminal,
            stdin: stream("stdin"),
            stdout: stream("stdout"),
            stderr: if terminal { String::new() } else { stream("stderr") },
            spec: Some(Any { value: spec.into_bytes(), ..Any::new() }).into(),
            ..ExecProcessRequest::new()
        };
        self.client.exec(call_context(), &request).await
    }

    pub(crate) async fn start_exec(&self, id: &str, exec_id: &str) -> ttrpc::Result<u32> {
        let request = StartRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), ..StartRequest::new() };
        Ok(self.client.start(call_context(), &request).await?.pid)
    }

    pub(crate) async fn wait_exec(&self, id: &str, exec_id: &str) -> u32 {
        let request = WaitRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), ..WaitRequest::new() };
        self.client.wait(call_context(), &request).await.unwrap().exit_status
    }

    pub(crate) async fn kill_exec(&self, id: &str, exec_id: &str, signal: u32) -> ttrpc::Result<Empty> {
        let request = KillRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), signal, ..KillRequest::new() };
        self.client.kill(call_context(), &request).await
    }

    pub(crate) async fn delete_exec(&self, id: &str, exec_id: &str) -> ttrpc::Result<DeleteResponse> {
        let request = DeleteRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), ..DeleteRequest::new() };
        self.client.delete(call_context(), &request).await
    }

    /// Runs an executed process to its end. Its status.
    pub(crate) async fn run_exec(&self, bundle: &Bundle, exec_id: &str, args: &[&str]) -> u32 {
        self.exec(bundle, exec_id, args, false).await.unwrap();
        self.start_exec(&bundle.id, exec_id).await.unwrap();
        let status = self.wait_exec(&bundle.id, exec_id).await;
        assert_eq!(self.delete_exec(&bundle.id, exec_id).await.unwrap().exit_status, status);
        status
    }

    pub(crate) async fn pause(&self, id: &str) -> ttrpc::Result<Empty> {
        self.client.pause(call_context(), &PauseRequest { id: id.to_owned(), ..PauseRequest::new() }).await
    }

    pub(crate) async fn resume(&self, id: &str) -> ttrpc::Result<Empty> {
        self.client.resume(call_context(), &ResumeRequest { id: id.to_owned(), ..ResumeRequest::new() }).await
    }

    pub(crate) async fn update(&self, id: &str, resources: &Value) -> ttrpc::Result<Empty> {
        let resources = Some(Any { value: resources.to_string().into_bytes(), ..Any::new() }).into();
        self.client.update(call_context(), &UpdateTaskRequest { id: id.to_owned(), resources, ..UpdateTaskRequest::new() }).await
    }

    /// Of the shim.
    pub(crate) async fn pid(&self) -> u32 {
        self.client.connect(call_context(), &ConnectRequest::new()).await.unwrap().shim_pid
    }

    /// Kills the shim, and waits until it is gone.
    pub(crate) async fn die(self) {
        let server = rustix::process::Pid::from_raw(self.pid().await.cast_signed()).unwrap();
        rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
        until("the server is gone", || std::os::unix::net::UnixStream::connect(self.socket()).is_err()).await;
    }

    pub(crate) fn socket(&self) -> PathBuf {
        PathBuf::from(self.address.strip_prefix("unix://").unwrap())
    }

    pub(crate) async fn shutdown(&self) {
        self.client.shutdown(call_context(), &ShutdownRequest::new()).await.unwrap();
    }

    /// Ends its container, and then the shim.
    pub(crate) async fn end_with(self, id: &str) {
        self.kill(id, 9).await.unwrap();
        self.wait(id).await;
        self.delete(id).await.unwrap();
        self.end().await;
    }

    /// Ends the shim, and waits until it has cleaned up and told all events.
    pub(crate) async fn end(self) {
        let server = self.pid().await;
        self.shutdown().await;
        until("the server has ended", || has_ended(server)).await;
        assert!(!self.socket().exists());
    }
}

/// The name of a stream of an executed process, below its container's bundle.
pub(crate) fn exec_stream(exec_id: &str, stream: &str) -> String {
    format!("{exec_id}-{stream}")
}

/// Whether a process is gone. Of one that nobody has waited for yet, nothing is left to read.
pub(crate) fn has_ended(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).map_or(true, |line| line.is_empty())
}

/// Waits for something that is not told.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The code and text of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: ttrpc::Result<T>) -> (ttrpc::Code, String) {
    match result {
        Err(ttrpc::Error::RpcStatus(status)) => (status.code(), status.message),
        other => panic!("no refusal: {other:?}"),
    }
}
