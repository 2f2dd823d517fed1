//! Pods that know nothing of Perigee but its RuntimeClass.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use perigee_e2e::images::{self, Form, PROBE};
use perigee_e2e::ns::with_perigee;
use perigee_e2e::objects::wasm_pod;
use perigee_e2e::wait;
use serde_json::json;

/// An end by SIGTERM must not take the 30 s that the kubelet gives a pod. What else the end of a pod takes is the
/// kubelet's and containerd's, on a machine that is busy.
const PROMPT: Duration = Duration::from_secs(15);

#[test]
fn an_image_with_a_module_runs_as_any_other() -> Result<()> {
    with_perigee(|namespace| {
        // An image of its own, so that nobody else pulls it.
        let image = images::wasm(namespace.cluster, "pulled", &["hello"], Form::Image)?;
        images::forget(namespace.cluster, &image)?;
        // Without a command: the image's own entrypoint.
        let mut pod = wasm_pod("hello", &image, &[]);
        pod["spec"]["containers"][0]["args"] = json!(["one", "two words"]);
        pod["spec"]["containers"][0]["env"] = json!([{"name": "COLOUR", "value": "blue"}]);
        namespace.apply(&pod)?;
        namespace.wait_for_phase("hello", "Succeeded")?;
        let log = namespace.logs("hello")?;
        for line in ["hello", "arg 0: hello.wasm", "arg 1: one", "arg 2: two words", "env COLOUR=blue"] {
            ensure!(log.lines().any(|printed| printed == line), "no line {line:?} in:\n{log}");
        }
        namespace.wait_for_event("hello", "Successfully pulled image").map(drop)
    })
}

#[test]
fn a_wasm_artifact_runs_like_an_image() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::wasm(namespace.cluster, "artifact", &["c_hello"], Form::Artifact)?;
        // The kubelet wants a command of an image that has none.
        namespace.apply(&wasm_pod("artifact", &image, &["/c_hello.wasm", "from an artifact"]))?;
        namespace.wait_for_phase("artifact", "Succeeded")?;
        let log = namespace.logs("artifact")?;
        ensure!(log.contains("hello from C\n") && log.contains("arg 1: from an artifact\n"), "{log}");
        Ok(())
    })
}

#[test]
fn exit_codes_reach_the_pods_status() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let cases: [(&str, &[&str], u8); 4] = [
            ("zero", &["/exit_code.wasm", "0"], 0),
            ("seven", &["/exit_code.wasm", "7"], 7),
            ("most", &["/exit_code.wasm", "255"], 255),
            ("trap", &["/crash.wasm", "0", "trap"], 134),
        ];
        let pods: Vec<_> = cases.iter().map(|(name, command, _)| wasm_pod(name, &image, command)).collect();
        namespace.apply_all(&pods)?;
        for (name, _, code) in cases {
            let end = namespace.wait_for_end(name)?;
            ensure!(end["exitCode"] == code, "{name}: {end:#}");
            namespace.wait_for_phase(name, if code == 0 { "Succeeded" } else { "Failed" })?;
        }
        Ok(())
    })
}

#[test]
fn a_native_sidecar_and_a_wasm_container_share_a_pod() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let mut pod = wasm_pod("mixed", &image, &["/connect.wasm", "127.0.0.1:8080"]);
        pod["spec"]["initContainers"] = json!([{
            "name": "sidecar", "image": PROBE, "args": ["serve", ":8080", "served by the sidecar"],
            "restartPolicy": "Always",
            "startupProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        }]);
        // And an ordinary native container beside both.
        let containers = pod["spec"]["containers"].as_array_mut();
        containers
            .into_iter()
            .for_each(|all| all.push(json!({"name": "native", "image": PROBE, "args": ["get", "http://127.0.0.1:8080/"]})));
        namespace.apply(&pod)?;
        let pod = namespace.wait_for_phase("mixed", "Succeeded")?;
        ensure!(namespace.kubectl(&["logs", "mixed", "--container", "main"])?.contains("ok: peer 127.0.0.1:8080"), "{pod:#}");
        ensure!(namespace.kubectl(&["logs", "mixed", "--container", "native"])? == "served by the sidecar\n", "{pod:#}");
        // It ended because the pod did.
        let sidecar = &pod["status"]["initContainerStatuses"][0]["state"]["terminated"];
        ensure!(sidecar["exitCode"] == 0, "{sidecar:#}");
        Ok(())
    })
}

#[test]
fn a_pod_ends_promptly_also_when_its_module_never_returns() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let names = ["spinning", "waiting"];
        namespace.apply_all(&[wasm_pod("spinning", &image, &["/c_spin.wasm"]), wasm_pod("waiting", &image, &["/idle.wasm"])])?;
        for name in names {
            namespace.wait_for_phase(name, "Running")?;
        }
        namespace.wait_for_log("waiting", "ready")?;
        let asked = Instant::now();
        namespace.kubectl(&["delete", "pod", "spinning", "waiting", "--wait=false"])?;
        wait::until("both pods are gone", PROMPT, || {
            let pods = namespace.kubectl(&["get", "pods", "-o", "name"])?;
            ensure!(pods.is_empty(), "{pods} after {:?}", asked.elapsed());
            Ok(())
        })
    })
}

#[test]
fn a_volume_is_as_writable_as_it_is_mounted_and_the_rest_is_read_only() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let cases: [(&str, &[&str], &str); 4] = [
            ("writes", &["/file.wasm", "write", "/data/new"], "ok: written"),
            ("read-only", &["/file.wasm", "write", "/fixed/new"], "error: "),
            ("root", &["/file.wasm", "write", "/new"], "error: "),
            ("image", &["/file.wasm", "list", "/"], "hello.wasm"),
        ];
        let pods = cases.iter().map(|(name, command, _)| {
            let mut pod = wasm_pod(name, &image, command);
            pod["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
            pod["spec"]["containers"][0]["volumeMounts"] =
                json!([{"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/fixed", "readOnly": true}]);
            pod
        });
        namespace.apply_all(&pods.collect::<Vec<_>>())?;
        for (name, _, expected) in cases {
            namespace.wait_for_end(name)?;
            let log = namespace.logs(name)?;
            ensure!(log.contains(expected), "{name}: {log}");
        }
        Ok(())
    })
}
