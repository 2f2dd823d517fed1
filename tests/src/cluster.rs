//! The test cluster: brought up once per test process and left running, so that the next run starts at once
//! (`tests/cluster/down.sh` takes it down).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

/// Where `up.sh` keeps the cluster unless `PERIGEE_CLUSTER_DIR` says otherwise, as in `tests/cluster/lib/layout.sh`.
const DEFAULT_FOLDER: &str = "/var/lib/perigee-test";

/// The registry's address, as it stands in image names.
pub const REGISTRY: &str = "localhost:5757";

/// The one node's name.
pub const NODE: &str = "perigee-node";

/// More than any of a test's commands takes: Helm has two minutes for an installation.
const LONGEST_COMMAND: &str = "150s";
/// timeout(1)'s status for what it has ended.
const TIMED_OUT: i32 = 124;

/// A running cluster.
pub struct Cluster {
    folder: PathBuf,
}

/// The cluster, brought up by the first caller.
///
/// # Panics
/// When it does not come up: a test that cannot run has failed.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Result<Cluster>> = OnceLock::new();
    match CLUSTER.get_or_init(Cluster::up) {
        Ok(cluster) => cluster,
        Err(error) => panic!("the test cluster does not come up: {error:#}"),
    }
}

/// A file or folder of `tests/`.
pub fn tests_folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Cluster {
    fn up() -> Result<Self> {
        up(&[])?;
        let folder = std::env::var_os("PERIGEE_CLUSTER_DIR").map_or_else(|| DEFAULT_FOLDER.into(), PathBuf::from);
        Ok(Self { folder })
    }

    /// The folder that holds all of the cluster's state.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command with the cluster's programs first on its path, and with the variables that they look at.
    pub fn command(&self, program: &str) -> Command {
        let tools = self.folder.join("tools");
        let local = tools.join(program);
        let mut command = Command::new(if local.exists() { local.as_os_str() } else { program.as_ref() });
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{}:{path}", tools.display(), self.folder.join("bin").display()))
            .env("KUBECONFIG", self.folder.join("pki/admin.kubeconfig"))
            .env("CONTAINERD_ADDRESS", self.folder.join("containerd/containerd.sock"))
            .env("CONTAINERD_NAMESPACE", "k8s.io")
            // What the clients remember goes with the cluster, not into the home folder.
            .envs(
                ["KUBECACHEDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"]
                    .map(|name| (name, self.folder.join("cache"))),
            )
            .stdin(Stdio::null());
        command
    }

    /// Runs kubectl and returns its output.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output_of(self.command("kubectl").args(args))
    }

    /// Runs kubectl with `-o json`.
    pub fn kubectl_json(&self, args: &[&str]) -> Result<Value> {
        let text = output_of(self.command("kubectl").args(args).args(["-o", "json"]))?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {}: not JSON: {text}", args.join(" ")))
    }

    /// Runs helm and returns its output.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        output_of(self.command("helm").args(args))
    }

    /// Runs containerd's own client in the namespace of Kubernetes and returns its output.
    pub fn ctr(&self, args: &[&str]) -> Result<String> {
        output_of(self.command("ctr").args(args))
    }

    /// Stops one of the cluster's programs and starts it again, as a node's service manager would.
    pub fn restart(&self, program: &str) -> Result<()> {
        let mut restart = Command::new(tests_folder("cluster/restart.sh"));
        output_of(restart.arg(program).env("PERIGEE_CLUSTER_DIR", &self.folder)).map(drop)
    }

    /// The same, but it ends without warning.
    pub fn restart_killed(&self, program: &str) -> Result<()> {
        let mut restart = Command::new(tests_folder("cluster/restart.sh"));
        output_of(restart.args([program, "--kill"]).env("PERIGEE_CLUSTER_DIR", &self.folder)).map(drop)
    }

    /// Puts the shim and the worker of a folder onto the node.
    pub fn install_programs(&self, folder: &Path) -> Result<()> {
        up(&[OsStr::new("--bin"), folder.as_os_str()])
    }
}

/// Brings the cluster up; one that is up stays.
fn up(args: &[&OsStr]) -> Result<()> {
    // The script's output is not captured: a build of ten minutes must be seen to go on.
    let status = Command::new(tests_folder("cluster/up.sh")).args(args).stdin(Stdio::null()).status();
    let status = status.context("running tests/cluster/up.sh")?;
    ensure!(status.success(), "up.sh: {status}");
    Ok(())
}

/// Runs a command to its end, without input. A failure carries what it printed.
pub fn output_of(command: &mut Command) -> Result<String> {
    outcome(&describe(command), bounded(command).stdin(Stdio::null()))
}

/// The same of one that may take any time, as a build does.
pub fn output_of_build(command: &mut Command) -> Result<String> {
    outcome(&describe(command), command.stdin(Stdio::null()))
}

fn outcome(name: &str, command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("running {name}"))?;
    ensure!(status.code() != Some(TIMED_OUT), "{name}: not over within {LONGEST_COMMAND}");
    if !status.success() {
        bail!("{name}: {status}\n{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    }
    String::from_utf8(stdout).map_err(|error| anyhow!("{name}: its output is not UTF-8: {error}"))
}

/// The same command, which is ended when it takes too long: a test that waits for one for ever would say nothing.
pub fn bounded(command: &Command) -> Command {
    let mut bounded = Command::new("timeout");
    bounded.args(["--kill-after", "5s", LONGEST_COMMAND]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    bounded
}

/// A command as a person would type it: without the variables and folders, which are the same for all.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_command_has_its_words_variables_and_folder() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $0 $GREETING; pwd", "who"]).env("GREETING", "hello").current_dir("/usr");
        assert_eq!(output_of(&mut command).unwrap(), "who hello\n/usr\n");
    }

    #[test]
    fn a_command_that_is_ended_is_named() {
        let failure = output_of(Command::new("sh").args(["-c", "exit 124"])).unwrap_err();
        assert_eq!(failure.to_string(), "sh -c exit 124: not over within 150s");
    }
}
