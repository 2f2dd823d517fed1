//! A Kubernetes namespace per test.

use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cluster::{Cluster, bounded, cluster, output_of};
use crate::{dump, perigee, wait};

/// When set, namespaces stay after their tests, to be looked at.
const KEEP_VARIABLE: &str = "PERIGEE_KEEP_NS";

/// Held by every test while it uses the cluster, for reading by those that do not mind others.
static CLUSTER_USE: RwLock<()> = RwLock::new(());

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
    let cluster = cluster();
    let _others_may_run = CLUSTER_USE.read().unwrap_or_else(PoisonError::into_inner);
    run(cluster, test)
}

/// The same on a cluster that has Perigee.
pub fn with_perigee(test: impl FnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let cluster = perigee::installed();
    let _others_may_run = CLUSTER_USE.read().unwrap_or_else(PoisonError::into_inner);
    run(cluster, test)
}

/// The same while no other test of this process uses the cluster: for what is measured, and for what is left behind.
pub fn alone_with_perigee(test: impl FnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let cluster = perigee::installed();
    let _nobody_else_runs = CLUSTER_USE.write().unwrap_or_else(PoisonError::into_inner);
    run(cluster, test)
}

fn run(cluster: &'static Cluster, test: impl FnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let namespace = Namespace { cluster, name: unique_name() };
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
        self.apply_all(std::slice::from_ref(object))
    }

    /// Creates or changes objects.
    pub fn apply_all(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let mut command = self.cluster.command("kubectl");
        command.args(["--namespace", &self.name, "apply", "-f", "-"]);
        let mut child = bounded(&command).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        // Dropped at once, so that kubectl sees the end of its input.
        child.stdin.take().context("kubectl's input is piped")?.write_all(list.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "kubectl apply: {}\n{list:#}", String::from_utf8_lossy(&output.stderr));
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

    /// Waits until an object (`pod/web`) is as `holds` wants it, and returns it.
    pub fn wait_until(&self, object: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        wait::until(&format!("{object}: {what}"), wait::LIMIT, || {
            let state = self.kubectl_json(&["get", object])?;
            ensure!(holds(&state), "{:#}", state["status"]);
            Ok(state)
        })
    }

    /// Waits until a condition (`Ready`, `Available`, ...) of an object (`pod/web`) is true.
    pub fn wait_for_condition(&self, object: &str, type_: &str) -> Result<Value> {
        self.wait_until(object, type_, |state| condition(state, type_)["status"] == "True")
    }

    /// Waits until the first container of a pod has ended, and returns how: `exitCode`, `reason`, `message`, ...
    pub fn wait_for_end(&self, pod: &str) -> Result<Value> {
        let end = |state: &Value| state["status"]["containerStatuses"][0]["state"]["terminated"].clone();
        let pod = self.wait_until(&format!("pod/{pod}"), "its container has ended", |state| end(state).is_object())?;
        Ok(end(&pod))
    }

    /// Waits until the log of a pod or of a Deployment's pod (`deployment/web`) has these words, and returns all of it.
    pub fn wait_for_log(&self, object: &str, words: &str) -> Result<String> {
        wait::until(&format!("the log of {object} says {words:?}"), wait::LIMIT, || {
            let log = self.logs(object)?;
            ensure!(log.contains(words), "{log}");
            Ok(log)
        })
    }

    /// Waits for an event about an object whose message has these words, and returns the message.
    pub fn wait_for_event(&self, object: &str, words: &str) -> Result<String> {
        let about = format!("involvedObject.name={object}");
        wait::until(&format!("an event of {object} says {words:?}"), wait::LIMIT, || {
            let events = self.kubectl_json(&["get", "events", "--field-selector", &about])?;
            let events = events["items"].as_array().cloned().unwrap_or_default();
            let messages: Vec<_> = events.iter().filter_map(|event| event["message"].as_str()).collect();
            let found = messages.iter().find(|message| message.contains(words));
            found.map(|found| (*found).to_owned()).with_context(|| messages.join("\n"))
        })
    }

    /// The pods of an ActorApp that are not being deleted.
    pub fn pods_of(&self, app: &str) -> Result<Vec<Value>> {
        let pods = self.kubectl_json(&["get", "pods", "--selector", &format!("perigee.dev/app-name={app}")])?;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        Ok(pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect())
    }

    /// Waits until an ActorApp has exactly one pod, which is running, and returns it.
    pub fn wait_for_pod_of(&self, app: &str) -> Result<Value> {
        wait::until(&format!("{app} has a running pod"), wait::LIMIT, || match self.pods_of(app)?.as_slice() {
            [pod] if pod["status"]["phase"] == "Running" => Ok(pod.clone()),
            pods => bail!("{:#?}", pods.iter().map(|pod| &pod["status"]).collect::<Vec<_>>()),
        })
    }

    /// Everything that the container of a pod, or of a Deployment's pod (`deployment/web`), has printed.
    pub fn logs(&self, object: &str) -> Result<String> {
        self.kubectl(&["logs", object])
    }

    /// Asks a Service from the host over HTTP, with further options of curl; the answer's body. An answer that tells of a
    /// failure is an error.
    pub fn ask(&self, service: &str, path: &str, options: &[&str]) -> Result<String> {
        let state = self.kubectl_json(&["get", "service", service])?;
        let address = state["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        let mut curl = self.cluster.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "5"]).args(options);
        output_of(curl.arg(format!("http://{address}{path}")))
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

/// A condition of an object, or null.
pub fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|one| one["type"] == type_)).unwrap_or(&Value::Null)
}

/// Unique on this cluster, also between test processes that run at the same time.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("e2e-{}-{}-{}", since_epoch.as_secs(), process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
