//! A Kubernetes namespace per test.

use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, cluster};
use crate::{dump, wait};

/// When set, namespaces stay after their tests, to be looked at.
const KEEP_VARIABLE: &str = "PERIGEE_KEEP_NS";

/// A namespace of one test.
pub struct Namespace {
    /// The cluster that it is in.
    pub cluster: &'static Cluster,
    /// Its name, different in every run.
    pub name: String,
}

/// Runs a test in a namespace of its own. When the test fails or panics, prints what is in the namespace and the node's
/// logs. Afterwards deletes it: pods that do not go away fail the test too.
pub fn with_temp_ns(test: impl FnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let namespace = Namespace { cluster: cluster(), name: unique_name() };
    namespace.cluster.kubectl(&["create", "namespace", &namespace.name])?;
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        // Pods are refused until the controllers have made the namespace's service account.
        wait::until("the namespace has a service account", wait::LIMIT, || {
            namespace.kubectl(&["get", "serviceaccount/default", "configmap/kube-root-ca.crt"])
        })?;
        test(&namespace)
    }));
    let failed = !matches!(outcome, Ok(Ok(())));
    if failed {
        dump::namespace(&namespace);
    }
    let deleted = if std::env::var_os(KEEP_VARIABLE).is_some() { Ok(()) } else { namespace.delete() };
    if deleted.is_err() && !failed {
        dump::namespace(&namespace);
    }
    match outcome {
        Ok(result) => result.and(deleted),
        Err(panicked) => panic::resume_unwind(panicked),
    }
}

impl Namespace {
    /// Runs kubectl in the namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["--namespace", &self.name], args].concat())
    }

    /// Runs kubectl in the namespace with `-o json`.
    pub fn kubectl_json(&self, args: &[&str]) -> Result<Value> {
        self.cluster.kubectl_json(&[&["--namespace", &self.name], args].concat())
    }

    /// Creates or changes an object.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let mut command = self.cluster.command("kubectl");
        command.args(["--namespace", &self.name, "apply", "-f", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        // Dropped at once, so that kubectl sees the end of its input.
        child.stdin.take().context("kubectl's input is piped")?.write_all(object.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "kubectl apply: {}\n{object:#}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Waits until a pod is in this phase. Fails at once when the pod has ended in another.
    pub fn wait_for_phase(&self, pod: &str, phase: &str) -> Result<Value> {
        let state = wait::until(&format!("pod {pod} is {phase}"), wait::LIMIT, || {
            let state = self.kubectl_json(&["get", "pod", pod])?;
            match state["status"]["phase"].as_str() {
                Some(now) if now == phase || now == "Succeeded" || now == "Failed" => Ok(state),
                _ => bail!("{:#}", state["status"]),
            }
        })?;
        ensure!(state["status"]["phase"] == phase, "pod {pod} ended, but was to be {phase}: {:#}", state["status"]);
        Ok(state)
    }

    /// Waits until a condition (`Ready`, `Available`, ...) of an object (`pod/web`) is true.
    pub fn wait_for_condition(&self, object: &str, condition: &str) -> Result<()> {
        wait::until(&format!("{object} is {condition}"), wait::LIMIT, || {
            let state = self.kubectl_json(&["get", object])?;
            let conditions = state["status"]["conditions"].as_array();
            let holds = conditions.is_some_and(|all| all.iter().any(|one| one["type"] == condition && one["status"] == "True"));
            ensure!(holds, "{:#}", state["status"]);
            Ok(())
        })
    }

    /// Everything that a pod's only container has printed.
    pub fn logs(&self, pod: &str) -> Result<String> {
        self.kubectl(&["logs", pod])
    }

    fn delete(&self) -> Result<()> {
        self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false"])?;
        // The rest of the namespace may go in its own time; a pod that stays is a fault of the runtime's.
        wait::until("the namespace's pods are gone", wait::LIMIT, || {
            let pods = self.kubectl(&["get", "pods", "-o", "name"])?;
            ensure!(pods.is_empty(), "{pods}");
            Ok(())
        })
    }
}

/// Unique on this cluster, also between test processes that run at the same time.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("e2e-{}-{}-{}", since_epoch.as_secs(), process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
