//! The example that a new user copies, as it is in the repository, from `kubectl apply` to an answer.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use perigee_e2e::built;
use perigee_e2e::cluster::tests_folder;
use perigee_e2e::images::{self, PROBE};
use perigee_e2e::ns::{condition, with_perigee};
use perigee_e2e::wait;
use serde_json::json;

/// As its manifest calls it.
const IMAGE: (&str, &str) = ("counter-server", "0.1.0");

#[test]
fn the_example_answers_through_its_service() -> Result<()> {
    with_perigee(|namespace| {
        let (name, tag) = IMAGE;
        images::packed(namespace.cluster, name, Some(tag), &[built::guest(name)?], &[])?;
        let manifest = tests_folder("../examples/counter-server/app.yaml");
        namespace.kubectl(&["apply", "-f", manifest.to_str().context("not UTF-8")?])?;

        let app = namespace.wait_for_condition("actorapp/counter-server", "Available")?;
        ensure!(condition(&app, "Accepted")["status"] == "True", "{:#}", app["status"]);
        ensure!(app["status"]["observedGeneration"] == app["metadata"]["generation"], "{:#}", app["status"]);
        let table = namespace.kubectl(&["get", "actorapps"])?;
        ensure!(table.contains("counter-server"), "{table}");

        let first = wait::until("the Service answers", wait::LIMIT, || namespace.ask(name, "/", &[]))?;
        let second = namespace.ask(name, "/", &[])?;
        ensure!(first.contains("hits 1") && second.contains("hits 2"), "{first:?} {second:?}");
        // A request that kills its own actor costs nobody else anything.
        ensure!(namespace.ask(name, "/crash", &[]).is_err());
        ensure!(namespace.ask(name, "/", &[])?.contains("hits 3"));

        namespace.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "probe", "image": PROBE, "args": ["get", "http://counter-server/"]}]},
        }))?;
        namespace.wait_for_phase("client", "Succeeded")?;
        ensure!(namespace.logs("client")?.contains("hits 4"));

        let log = namespace.wait_for_log("deployment/counter-server", "listening on 0.0.0.0:8080")?;
        ensure!(log.contains("class=server"), "the crash is not in the log:\n{log}");
        let pod = namespace.wait_for_pod_of("counter-server")?;
        ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "{:#}", pod["status"]);
        Ok(())
    })
}

/// One log line per connection actor would be a way to fill a node's disk.
#[test]
fn a_hundred_requests_are_answered_and_leave_no_lines() -> Result<()> {
    with_perigee(|namespace| {
        let (name, tag) = IMAGE;
        images::packed(namespace.cluster, name, Some(tag), &[built::guest(name)?], &[])?;
        let manifest = tests_folder("../examples/counter-server/app.yaml");
        namespace.kubectl(&["apply", "-f", manifest.to_str().context("not UTF-8")?])?;
        namespace.wait_for_condition("actorapp/counter-server", "Available")?;
        wait::until("the Service answers", wait::LIMIT, || namespace.ask(name, "/healthz", &[]))?;
        let before = namespace.logs("deployment/counter-server")?;
        let answers: BTreeSet<_> = (0..100).map(|_| namespace.ask(name, "/", &[])).collect::<Result<_>>()?;
        ensure!(answers.len() == 100, "two requests were counted as one: {answers:?}");
        let after = namespace.logs("deployment/counter-server")?;
        ensure!(before == after, "{after}");
        Ok(())
    })
}
