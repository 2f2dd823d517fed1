//! The cluster itself, with native containers on runc: when these fail, no other failure means anything.

use anyhow::{Result, ensure};
use perigee_e2e::cluster::{NODE, cluster};
use perigee_e2e::images::{self, PROBE};
use perigee_e2e::ns::{Namespace, with_temp_ns};
use perigee_e2e::{cluster::output_of, wait};
use serde_json::{Value, json};

/// A pod with one container that runs the probe once.
fn probe_pod(name: &str, image: &str, args: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "probe", "image": image, "args": args}],
        },
    })
}

/// A server pod `web` with a Service of the same name, both ready.
fn serve(namespace: &Namespace, text: &str) -> Result<()> {
    namespace.apply(&probe_pod("web", PROBE, &["serve", ":8080", text]))?;
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }))?;
    namespace.wait_for_condition("pod/web", "Ready").map(drop)
}

#[test]
fn node_offers_the_perigee_runtime() -> Result<()> {
    let node = cluster().kubectl_json(&["get", "node", NODE])?;
    let handlers = node["status"]["runtimeHandlers"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(handlers.iter().any(|handler| handler["name"] == "perigee"), "{handlers:#?}");
    Ok(())
}

#[test]
fn native_pod_prints_and_exits_with_its_code() -> Result<()> {
    with_temp_ns(|namespace| {
        namespace.apply(&probe_pod("once", PROBE, &["print", "hello", "7"]))?;
        let pod = namespace.wait_for_phase("once", "Failed")?;
        let state = &pod["status"]["containerStatuses"][0]["state"];
        ensure!(state["terminated"]["exitCode"] == 7, "{state:#}");
        let logs = namespace.logs("once")?;
        ensure!(logs == "hello\nhello\n", "{logs:?}");
        Ok(())
    })
}

#[test]
fn service_answers_pods_by_name_and_the_host_by_address() -> Result<()> {
    with_temp_ns(|namespace| {
        serve(namespace, "served")?;
        namespace.apply(&probe_pod("client", PROBE, &["get", "http://web/"]))?;
        namespace.wait_for_phase("client", "Succeeded")?;
        ensure!(namespace.logs("client")? == "served\n");

        let service = namespace.kubectl_json(&["get", "service", "web"])?;
        let url = format!("http://{}/", service["spec"]["clusterIP"].as_str().unwrap_or("no clusterIP"));
        let mut curl = namespace.cluster.command("curl");
        curl.args(["--silent", "--show-error", "--max-time", "5", &url]);
        let body = wait::until("the Service answers the host", wait::LIMIT, || output_of(&mut curl))?;
        ensure!(body == "served\n", "{body:?}");
        Ok(())
    })
}

#[test]
fn pod_reaches_the_api_server_as_its_service_account() -> Result<()> {
    with_temp_ns(|namespace| {
        let name = &namespace.name;
        namespace.kubectl(&["create", "role", "reader", "--verb=get", "--resource=pods"])?;
        namespace.kubectl(&["create", "rolebinding", "reader", "--role=reader", &format!("--serviceaccount={name}:default")])?;
        let path = format!("/api/v1/namespaces/{name}/pods/asker");
        namespace.apply(&probe_pod("asker", PROBE, &["api", &path]))?;
        namespace.wait_for_phase("asker", "Succeeded")?;
        let answer: Value = serde_json::from_str(&namespace.logs("asker")?)?;
        ensure!(answer["metadata"]["name"] == "asker", "{answer:#}");
        Ok(())
    })
}

#[test]
fn image_is_pulled_from_the_registry() -> Result<()> {
    with_temp_ns(|namespace| {
        let archive = namespace.cluster.folder().join("images/probe.tar");
        let image = images::push(namespace.cluster, &archive, "1", &format!("{}:1", namespace.name))?;
        namespace.apply(&probe_pod("pulled", &image, &["print", "from the registry"]))?;
        namespace.wait_for_phase("pulled", "Succeeded")?;
        let events = namespace.kubectl(&["get", "events"])?;
        ensure!(events.contains("Successfully pulled image"), "{events}");
        Ok(())
    })
}
