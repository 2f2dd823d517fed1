//! Looking into a running pod: `kubectl exec` of the worker's commands, exec probes, and a resize in place.

use anyhow::{Context, Result, ensure};
use perigee_e2e::images;
use perigee_e2e::ns::{Namespace, with_perigee};
use perigee_e2e::objects::{APP_CONTAINER, app, idle, wasm_pod};
use perigee_e2e::wait;
use serde_json::{Value, json};

/// What a command prints, or how it failed.
fn exec(namespace: &Namespace, pod: &str, command: &[&str]) -> Result<String> {
    namespace.kubectl(&[&["exec", pod, "--"], command].concat())
}

fn actors(namespace: &Namespace, pod: &str) -> Result<Value> {
    let list: Value = serde_json::from_str(&exec(namespace, pod, &["ps", "-o", "json"])?)?;
    Ok(list["actors"].clone())
}

#[test]
fn kubectl_exec_lists_and_kills_actors_and_says_what_there_is() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let crowd = json!({
            "name": "crowd", "module": "many_actors.wasm", "args": ["20", "600000"],
            "limits": {"memory": "2Mi"}, "permissions": {"spawn": ["crowd"]},
        });
        namespace.apply(&app("watched", &image, json!({"actors": [crowd, idle()]})))?;
        let pod = namespace.wait_for_pod_of("watched")?;
        let pod = pod["metadata"]["name"].as_str().context("a pod has a name")?;
        let list = wait::until("all actors are there", wait::LIMIT, || {
            let list = actors(namespace, pod)?;
            ensure!(list.as_array().is_some_and(|all| all.len() == 22), "{list:#}");
            Ok(list)
        })?;
        let child = list.as_array().into_iter().flatten().find(|actor| !actor["spawner"].is_null()).context("a child")?;
        let id = child["id"].to_string();
        ensure!(exec(namespace, pod, &["ps"])?.contains("RESTARTS"));
        ensure!(exec(namespace, pod, &["tree"])?.contains("\n  crowd "));
        ensure!(exec(namespace, pod, &["top"])?.contains("22 actors with "));
        ensure!(exec(namespace, pod, &["inspect", &id])?.contains("class:           crowd"));
        ensure!(exec(namespace, pod, &["healthy"])?.contains("healthy: 22 actors"));
        ensure!(exec(namespace, pod, &["kill", &id])?.contains("was killed"));
        let error = exec(namespace, pod, &["kill", &id]).err().context("it is dead")?.to_string();
        ensure!(error.contains("exit code 1") && error.contains("no actor"), "{error}");
        let error = exec(namespace, pod, &["sh", "-c", "ls"]).err().context("there is no shell")?.to_string();
        ensure!(error.contains("exit code 127") && error.contains("ps, top, tree"), "{error}");
        let state = namespace.kubectl_json(&["get", "pod", pod])?;
        ensure!(state["status"]["containerStatuses"][0]["name"] == APP_CONTAINER, "{state:#}");
        ensure!(state["status"]["containerStatuses"][0]["restartCount"] == 0, "{state:#}");
        Ok(())
    })
}

#[test]
fn an_exec_probe_asks_the_actors() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let mut pod = wasm_pod("probed", &image, &["/idle.wasm"]);
        let probe = |command: &str| json!({"exec": {"command": [command]}, "periodSeconds": 1, "failureThreshold": 1});
        pod["spec"]["containers"][0]["readinessProbe"] = probe("healthy");
        pod["spec"]["containers"][0]["livenessProbe"] = probe("healthy");
        namespace.apply(&pod)?;
        namespace.wait_for_condition("pod/probed", "Ready")?;
        let mut never = wasm_pod("unready", &image, &["/idle.wasm"]);
        never["spec"]["containers"][0]["readinessProbe"] = probe("unhealthy");
        namespace.apply(&never)?;
        namespace.wait_for_event("unready", "there is no program unhealthy here")?;
        let state = namespace.kubectl_json(&["get", "pod", "probed"])?;
        ensure!(state["status"]["containerStatuses"][0]["restartCount"] == 0, "{:#}", state["status"]);
        Ok(())
    })
}

/// A guest that may have no more than its container: when that grows, so does what it may have.
#[test]
fn a_plain_pod_is_resized_without_a_restart() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let mut pod = wasm_pod("resized", &image, &["/idle.wasm"]);
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi", "cpu": "100m"}});
        namespace.apply(&pod)?;
        namespace.wait_for_log("resized", "ready")?;
        let limit = |expected: u64| {
            let one: Value = serde_json::from_str(&exec(namespace, "resized", &["inspect", "1", "-o", "json"])?)?;
            ensure!(one["memoryLimitBytes"] == expected, "{one:#}");
            Ok(())
        };
        limit(64 << 20)?;
        let patch = json!({"spec": {"containers": [{"name": "main", "resources": {
            "limits": {"memory": "128Mi", "cpu": "200m"}, "requests": {"memory": "128Mi", "cpu": "200m"},
        }}]}});
        namespace.kubectl(&["patch", "pod", "resized", "--subresource", "resize", "--patch", &patch.to_string()])?;
        wait::until("its actors may have more", wait::LIMIT, || limit(128 << 20))?;
        let state = namespace.kubectl_json(&["get", "pod", "resized"])?;
        ensure!(state["status"]["containerStatuses"][0]["restartCount"] == 0, "{:#}", state["status"]);
        Ok(())
    })
}
