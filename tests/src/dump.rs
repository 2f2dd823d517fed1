//! What a person would look at first after a failure, printed to standard error. Never fails itself: a part that cannot
//! be had is replaced by the reason.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;

use crate::ns::Namespace;

/// Enough for the lines around a failure; the whole files stay in the cluster's folder.
const LOG_LINES: usize = 60;

/// The chart's label of the operator, so that its pods are found in whichever namespace it was installed.
const OPERATOR_SELECTOR: &str = "app.kubernetes.io/name=perigee-operator";

/// Prints a namespace's objects, events and logs (which for Wasm containers are the workers'), the operator's log, and
/// the ends of the logs of containerd (which holds the shims' too) and the kubelet.
#[expect(clippy::print_stderr, reason = "the failed test's report is standard error")]
pub fn namespace(namespace: &Namespace) {
    let mut report = format!("\n===== {} at the time of the failure\n", namespace.name);
    let mut section = |title: &str, text: Result<String>| {
        let text = text.unwrap_or_else(|error| format!("({error:#})"));
        // Writing to a String cannot fail.
        let _infallible = writeln!(report, "----- {title}\n{}", text.trim_end());
    };
    section("objects", namespace.kubectl(&["get", "all", "--output", "wide"]));
    section("events", namespace.kubectl(&["get", "events", "--sort-by=.lastTimestamp"]));
    section("apps", namespace.kubectl(&["describe", "actorapps"]));
    section("pods", namespace.kubectl(&["describe", "pods"]));
    for pod in pods(namespace) {
        for extra in [&["--prefix"][..], &["--prefix", "--previous"]] {
            section(&pod, namespace.kubectl(&[&["logs", &pod, "--all-containers", "--tail=60"], extra].concat()));
        }
    }
    let operator = ["logs", "--all-namespaces", "--prefix", "--tail=60", "--selector", OPERATOR_SELECTOR];
    section("operator", namespace.cluster.kubectl(&operator));
    for program in ["containerd", "kubelet"] {
        section(program, end_of_log(namespace, program));
    }
    eprintln!("{report}");
}

fn pods(namespace: &Namespace) -> Vec<String> {
    let names = namespace.kubectl(&["get", "pods", "-o", "name"]).unwrap_or_default();
    names.lines().map(str::to_owned).collect()
}

fn end_of_log(namespace: &Namespace, program: &str) -> Result<String> {
    let text = fs::read(namespace.cluster.folder().join("logs").join(format!("{program}.log")))?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
}
