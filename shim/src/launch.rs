//! From a container's OCI specification to the one that starts a worker in its place. Pure.
//!
//! Everything in the specification comes from the pod's author, so nothing here adds to what the container has: its
//! cgroup, namespaces, user, capabilities, seccomp profile and mounts stay as they are. Only the program changes, and
//! two read-only mounts are added. The JSON is edited in place, so that what this code does not know is kept.

use std::{collections::HashMap, path::Path};

use perigee_spec::{
    APP_CONTAINER, ActorClass, AppSpec, DEFAULT_ENTRYPOINT, EnvVar, Folder, Limits, MAX_MEMORY, MemoryBytes, Network,
    Permissions, Restart, RestartPolicy, SpecError, annotation,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::WORKER_FD;

/// Where the worker finds its things in the container.
const HOME: &str = "/.perigee";
/// The worker itself.
const WORKER: &str = "/.perigee/perigee";
/// What it is to run.
const APP: &str = "/.perigee/app.json";
/// Compiled code of modules.
const CODE: &str = "/.perigee/code";
/// Modules that came with an artifact.
const MODULES: &str = "/.perigee/modules";
/// Options of both mounts. `bind` before `ro`: the kernel makes a bind mount read-only in a second step.
const MOUNT_OPTIONS: [&str; 4] = ["bind", "ro", "nosuid", "nodev"];
/// The class of a plain pod.
pub(crate) const MAIN: &str = "main";
/// The smallest memory that a class may have (`perigee_spec::Limits`): one page.
const MIN_MEMORY: u64 = 64 << 10;
/// Mounts of the container engine and the kubelet, which are no volumes of the pod.
const SYSTEM: [&str; 4] = ["/proc", "/sys", "/dev", "/etc/hosts"];
const SYSTEM_FILES: [&str; 2] = ["/etc/hostname", "/etc/resolv.conf"];

const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";
const SANDBOX_NAME: &str = "io.kubernetes.cri.sandbox-name";
const CONTAINER_NAME: &str = "io.kubernetes.cri.container-name";
const IMAGE_NAME: &str = "io.kubernetes.cri.image-name";
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";

/// A specification that cannot be launched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// Names the field itself.
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("config.json: {0}")]
    Config(#[from] serde_json::Error),
    #[error("config.json: {0} is missing")]
    Missing(&'static str),
}

/// What Perigee reads of `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerSpec {
    process: ProcessSpec,
    root: Root,
    mounts: Vec<MountSpec>,
    annotations: HashMap<String, String>,
    linux: Linux,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProcessSpec {
    args: Vec<String>,
    env: Vec<String>,
    cwd: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Root {
    path: String,
}

/// A mount.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MountSpec {
    pub(crate) destination: String,
    #[serde(rename = "type")]
    kind: String,
    pub(crate) source: String,
    options: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Linux {
    cgroups_path: String,
    namespaces: Vec<Namespace>,
    resources: Resources,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    memory: Memory,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    limit: Option<i64>,
}

/// The program that a container's command names: `path`, or `path#function` for another export than `_start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: String,
    pub(crate) function: String,
}

/// Where the worker looks for modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modules {
    /// In the image's root file system.
    Image,
    /// Beside the worker: the image is a Wasm artifact.
    Artifact,
}

impl ContainerSpec {
    pub(crate) fn parse(config: &Value) -> Result<Self, LaunchError> {
        Ok(Self::deserialize(config)?)
    }

    /// The pod that the container belongs to; none when it was not made by the kubelet.
    pub(crate) fn sandbox_id(&self) -> Option<&str> {
        self.annotations.get(SANDBOX_ID).map(String::as_str)
    }

    /// Its image as the pod's author called it.
    pub(crate) fn image(&self) -> Option<&str> {
        self.annotations.get(IMAGE_NAME).map(String::as_str)
    }

    /// Whether it is the pod's pause container.
    pub(crate) fn is_sandbox(&self) -> bool {
        self.annotations.get(CONTAINER_TYPE).is_some_and(|kind| kind == "sandbox")
    }

    /// Path of the root file system, relative to the bundle.
    pub(crate) fn root(&self) -> &Path {
        if self.root.path.is_empty() { Path::new("rootfs") } else { Path::new(&self.root.path) }
    }

    /// Its cgroup, in the form of the cgroup driver.
    pub(crate) fn cgroups_path(&self) -> &str {
        &self.linux.cgroups_path
    }

    /// Whether all its processes end with the first one.
    pub(crate) fn owns_pid_namespace(&self) -> bool {
        self.linux.namespaces.iter().any(|namespace| namespace.kind == "pid" && namespace.path.is_empty())
    }

    /// The app of an ActorApp's pod, when this container is the one that runs it.
    pub(crate) fn app(&self) -> Result<Option<AppSpec>, LaunchError> {
        let Some(text) = self.annotations.get(annotation::KEY) else { return Ok(None) };
        if self.annotations.get(CONTAINER_NAME).is_none_or(|name| name != APP_CONTAINER) {
            return Ok(None);
        }
        Ok(Some(annotation::decode(text)?))
    }

    /// The program of its command; none for a container without one.
    pub(crate) fn program(&self) -> Option<Program> {
        let command = self.process.args.first().filter(|command| !command.is_empty())?;
        let (path, function) = match command.split_once('#') {
            Some((path, function)) if !path.is_empty() && !function.is_empty() => (path, function),
            _ => (command.as_str(), DEFAULT_ENTRYPOINT),
        };
        Some(Program { path: path.to_owned(), function: function.to_owned() })
    }

    /// Where `path` may be: at itself, below the working directory, or (a bare name) in the container's PATH.
    pub(crate) fn candidates(&self, path: &str) -> Vec<String> {
        if path.starts_with('/') {
            return vec![path.to_owned()];
        }
        let join = |folder: &str| format!("{}/{path}", folder.trim_end_matches('/'));
        let mut candidates = vec![join(&self.process.cwd)];
        if !path.contains('/') {
            let search = self.process.env.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
            candidates.extend(search.unwrap_or_default().split(':').filter(|folder| folder.starts_with('/')).map(join));
        }
        candidates
    }

    /// Bind mounts: folders and files of the host that the container sees.
    pub(crate) fn binds(&self) -> impl Iterator<Item = &MountSpec> {
        self.mounts.iter().filter(|mount| mount.is_bind())
    }

    /// The app of a plain pod: one class, which may do what any program in the container could.
    ///
    /// `is_folder` says of a mount's source whether it is a folder. A file that is mounted can be read, as everything in
    /// the root file system can.
    pub(crate) fn plain_app(
        &self,
        module: &str,
        function: &str,
        is_folder: impl Fn(&MountSpec) -> bool,
    ) -> Result<AppSpec, LaunchError> {
        let mut class = ActorClass::new(class_name(MAIN)?);
        class.module = Some(module.to_owned());
        class.entrypoint = function.to_owned();
        class.args = self.process.args.iter().skip(1).cloned().collect();
        class.env = variables(&self.process.env);
        class.instances = 1;
        class.restart = Restart { policy: RestartPolicy::Temporary, ..Restart::default() };
        class.limits = self.limits();
        class.permissions = Permissions {
            spawn: vec![class_name(MAIN)?],
            network: Network { listen: vec![rule("*:*")?], connect: vec![rule("*:*")?] },
            filesystem: self.folders(is_folder),
            compile: true,
            configure: true,
        };
        let name = self.annotations.get(SANDBOX_NAME).map_or(MAIN, String::as_str);
        Ok(AppSpec::new(name, vec![class], "the container")?)
    }

    fn limits(&self) -> Limits {
        let defaults = Limits::default();
        let memory = MemoryBytes(actors_memory(self.linux.resources.memory.limit));
        Limits { memory, mailbox: defaults.mailbox.min(memory), ..defaults }
    }

    fn folders(&self, is_folder: impl Fn(&MountSpec) -> bool) -> Vec<Folder> {
        let volumes = self.binds().filter(|mount| !mount.is_system() && is_folder(mount));
        let mut folders = vec![Folder { path: "/".to_owned(), read_only: true }];
        folders.extend(volumes.map(|mount| Folder { path: mount.destination.clone(), read_only: mount.is_read_only() }));
        folders
    }
}

impl MountSpec {
    fn is_bind(&self) -> bool {
        self.kind == "bind" || self.options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"))
    }

    fn is_read_only(&self) -> bool {
        // The last one counts, as it does for the runtime.
        let modes = self.options.iter().rev();
        modes.map(String::as_str).find(|option| matches!(*option, "ro" | "rro" | "rw")).is_some_and(|mode| mode != "rw")
    }

    fn is_system(&self) -> bool {
        let path = Path::new(&self.destination);
        SYSTEM.iter().any(|system| path.starts_with(system)) || SYSTEM_FILES.iter().any(|file| path == Path::new(file))
    }
}

/// Rewrites `config.json` so that it starts the worker `binary` for the app whose specification is in `home`.
///
/// The file `perigee` in `home` is the mount point of the worker, and its folder `modules` that of an artifact's modules.
pub(crate) fn rewrite(
    mut config: Value,
    home: &Path,
    binary: &Path,
    modules: Modules,
    modules_folder: &Path,
) -> Result<Value, LaunchError> {
    let directory = match modules {
        Modules::Image => "/",
        Modules::Artifact => MODULES,
    };
    let grace = config.get("annotations").and_then(|annotations| annotations.get(annotation::GRACE_KEY));
    let grace = grace.and_then(Value::as_str).and_then(|text| text.parse::<u32>().ok());
    let process = config.get_mut("process").and_then(Value::as_object_mut).ok_or(LaunchError::Missing("process"))?;
    let control = WORKER_FD.to_string();
    let args = [WORKER, "worker", "--app", APP, "--modules", directory, "--control-fd", &control];
    let mut args: Vec<String> = args.map(str::to_owned).into();
    // What is no number of seconds is the author's mistake; the worker's own grace period holds then.
    args.extend(grace.into_iter().flat_map(|seconds| ["--grace".to_owned(), seconds.to_string()]));
    process.insert("args".to_owned(), json!(args));
    // Windows only, and it would win over `args`.
    process.remove("commandLine");
    let mounts = config.as_object_mut().ok_or(LaunchError::Missing("the object"))?.entry("mounts").or_insert_with(|| json!([]));
    let mounts = mounts.as_array_mut().ok_or(LaunchError::Missing("a list of mounts"))?;
    // At the end: they lie over whatever the pod's author mounted there.
    mounts.push(bind(home, HOME));
    mounts.push(bind(binary, WORKER));
    if modules == Modules::Artifact {
        mounts.push(bind(modules_folder, MODULES));
    }
    Ok(config)
}

/// What each actor of a plain pod may use, by its container's limit. Without one, that is what the node has; 32-bit
/// WebAssembly, 4 GiB of it.
fn actors_memory(limit: Option<i64>) -> u64 {
    let limit = limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    limit.unwrap_or(MAX_MEMORY.0).clamp(MIN_MEMORY, MAX_MEMORY.0)
}

/// The same, by the resources of an Update; `None` when they say nothing of memory.
pub(crate) fn updated_memory(resources: &[u8]) -> Option<u64> {
    let resources: Resources = serde_json::from_slice(resources).ok()?;
    resources.memory.limit.filter(|limit| *limit != 0).map(|limit| actors_memory(Some(limit)))
}

/// Adds compiled code to a rewritten `config.json`, by class and path. Its folder `code` in the home has the mount points.
pub(crate) fn add_code<'a>(config: &mut Value, code: impl Iterator<Item = (&'a str, &'a Path)>) {
    let mut binds = code.map(|(class, entry)| bind(entry, &format!("{CODE}/{class}"))).peekable();
    if binds.peek().is_none() {
        return;
    }
    if let Some(args) = config.pointer_mut("/process/args").and_then(Value::as_array_mut) {
        args.extend([json!("--code"), json!(CODE)]);
    }
    if let Some(mounts) = config.pointer_mut("/mounts").and_then(Value::as_array_mut) {
        mounts.extend(binds);
    }
}

fn bind(source: &Path, destination: &str) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": MOUNT_OPTIONS })
}

/// The environment of a process as variables of a class. Of two with one name the last counts, as `getenv` of most
/// languages has it after `putenv`; what has no name is left out.
fn variables(env: &[String]) -> Vec<EnvVar> {
    let mut variables: Vec<EnvVar> = Vec::new();
    for (name, value) in env.iter().filter_map(|entry| entry.split_once('=')).filter(|(name, _)| !name.is_empty()) {
        variables.retain(|variable| variable.name != name);
        variables.push(EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None });
    }
    variables
}

fn class_name(name: &str) -> Result<perigee_spec::ClassName, LaunchError> {
    let broken = |reason| SpecError::Field { path: "name".to_owned(), reason };
    Ok(name.parse().map_err(broken)?)
}

fn rule<R: std::str::FromStr<Err = String>>(text: &str) -> Result<R, LaunchError> {
    let broken = |reason| SpecError::Field { path: "network".to_owned(), reason };
    Ok(text.parse().map_err(broken)?)
}

#[cfg(test)]
mod tests;
