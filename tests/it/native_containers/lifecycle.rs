//! Init containers, probes, hooks, signals, and running out of memory.

use anyhow::{Result, ensure};
use perigee_e2e::busybox;
use perigee_e2e::ns::with_perigee;
use serde_json::json;

#[test]
fn init_containers_run_one_after_the_other_before_the_rest() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let mut pod = busybox::pod("ordered", "cat /shared/log");
        pod["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
        let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
        pod["spec"]["containers"][0]["volumeMounts"] = mount.clone();
        let init = ["first", "second"].map(|name| {
            let mut container = busybox::container(name, &format!("echo {name} >> /shared/log"));
            container["volumeMounts"] = mount.clone();
            container
        });
        pod["spec"]["initContainers"] = json!(init);
        namespace.apply(&pod)?;
        namespace.wait_for_phase("ordered", "Succeeded")?;
        ensure!(namespace.logs("ordered")? == "first\nsecond\n");
        Ok(())
    })
}

#[test]
fn an_exec_probe_decides_whether_a_pod_is_ready_and_alive() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let mut pod = busybox::pod("probed", "echo started; sleep 2; touch /ready; sleep 4; rm /ready; sleep 60");
        pod["spec"]["restartPolicy"] = json!("Always");
        let probe = json!({"exec": {"command": ["test", "-e", "/ready"]}, "periodSeconds": 1});
        pod["spec"]["containers"][0]["readinessProbe"] = probe.clone();
        pod["spec"]["containers"][0]["startupProbe"] =
            json!({"exec": {"command": ["test", "-e", "/ready"]}, "periodSeconds": 1, "failureThreshold": 30});
        pod["spec"]["containers"][0]["livenessProbe"] =
            json!({"exec": {"command": ["test", "-e", "/ready"]}, "periodSeconds": 1, "failureThreshold": 2});
        namespace.apply(&pod)?;
        namespace.wait_for_condition("pod/probed", "Ready")?;
        namespace.wait_until("pod/probed", "was restarted", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"].as_u64() > Some(0)
        })?;
        namespace.wait_for_event("probed", "Liveness probe failed").map(drop)
    })
}

#[test]
fn hooks_run_and_a_signal_reaches_the_program() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let host = namespace.cluster.folder().join(format!("hooks-{}", namespace.name));
        std::fs::create_dir_all(&host)?;
        let mut pod =
            busybox::pod("hooked", "trap 'echo TERM >> /out/log; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
        pod["spec"]["volumes"] = json!([{"name": "out", "hostPath": {"path": host}}]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "out", "mountPath": "/out"}]);
        pod["spec"]["containers"][0]["lifecycle"] = json!({
            "postStart": {"exec": {"command": ["/busybox", "sh", "-c", "echo postStart >> /out/log"]}},
            "preStop": {"exec": {"command": ["/busybox", "sh", "-c", "echo preStop >> /out/log"]}},
        });
        namespace.apply(&pod)?;
        namespace.wait_for_condition("pod/hooked", "Ready")?;
        namespace.wait_for_log("hooked", "ready")?;
        namespace.kubectl(&["delete", "pod", "hooked", "--wait=true", "--timeout=60s"])?;
        let log = std::fs::read_to_string(host.join("log"))?;
        ensure!(log == "postStart\npreStop\nTERM\n", "{log:?}");
        std::fs::remove_dir_all(&host)?;
        Ok(())
    })
}

#[test]
fn a_container_beyond_its_memory_is_oom_killed_and_the_status_says_so() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        // A shell that keeps doubling a variable.
        let mut pod = busybox::pod("hungry", "x=0123456789abcdef; while :; do x=$x$x; done");
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "32Mi"}});
        namespace.apply(&pod)?;
        let end = namespace.wait_for_end("hungry")?;
        ensure!(end["reason"] == "OOMKilled" && end["exitCode"] == 137, "{end:#}");
        Ok(())
    })
}

#[test]
fn a_resize_changes_limits_without_a_restart() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let look = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null";
        let mut pod = busybox::pod("resized", &format!("while :; do {look}; sleep 1; done"));
        pod["spec"]["containers"][0]["resources"] =
            json!({"limits": {"memory": "64Mi", "cpu": "200m"}, "requests": {"memory": "64Mi", "cpu": "100m"}});
        namespace.apply(&pod)?;
        namespace.wait_for_log("resized", "67108864")?;
        let patch = json!({"spec": {"containers": [{"name": "main", "resources":
            {"limits": {"memory": "128Mi", "cpu": "300m"}, "requests": {"memory": "128Mi", "cpu": "100m"}}}]}});
        namespace.kubectl(&["patch", "pod", "resized", "--subresource", "resize", "--patch", &patch.to_string()])?;
        namespace.wait_for_log("resized", "134217728")?;
        let pod = namespace.wait_until("pod/resized", "the new limits are in its status", |pod| {
            pod["status"]["containerStatuses"][0]["resources"]["limits"]["cpu"] == "300m"
        })?;
        ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "{:#}", pod["status"]);
        Ok(())
    })
}
