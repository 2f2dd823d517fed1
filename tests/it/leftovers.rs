//! What is deleted is gone: from the API server and from the node.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use perigee_e2e::images;
use perigee_e2e::node;
use perigee_e2e::ns::{Namespace, alone_with_perigee};
use perigee_e2e::objects::{app, wasm_pod};
use perigee_e2e::wait;
use serde_json::json;

/// Every object of the namespace but events, which are kept for an hour on purpose.
fn objects(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let kinds = namespace.cluster.kubectl(&["api-resources", "--namespaced", "--verbs=list", "--output=name"])?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let found = namespace.kubectl(&["get", &kinds.join(","), "--output=name"])?;
    Ok(found.lines().map(str::to_owned).collect())
}

#[test]
fn a_deleted_app_leaves_nothing_behind() -> Result<()> {
    alone_with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let node_before = node::snapshot(namespace.cluster)?;
        let objects_before = objects(namespace)?;

        let web = json!({"name": "web", "module": "idle.wasm", "limits": {"memory": "2Mi"},
            "permissions": {"filesystem": [{"path": "/data"}]}});
        // One that fails and is started again and again, beside one that is well: both kinds of end are cleaned up.
        let faulty = json!({"name": "faulty", "module": "crash.wasm", "args": ["0", "trap"], "restart": {"maxRestarts": 0}, "limits": {"memory": "4Mi"}});
        let template = json!({"spec": {
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [{"name": "app", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        }});
        let ports = json!([{"name": "http", "containerPort": 8080, "servicePort": 80}]);
        namespace.apply_all(&[
            app("shop", &image, json!({"actors": [web], "replicas": 2, "ports": ports, "podTemplate": template})),
            app("faulty", &image, json!({"actors": [faulty]})),
            wasm_pod("refused", &image, &["/no-such-module.wasm"]),
            wasm_pod("spinning", &image, &["/c_spin.wasm"]),
        ])?;
        namespace.wait_until("actorapp/shop", "both pods are ready", |state| state["status"]["readyReplicas"] == 2)?;
        namespace.wait_for_phase("spinning", "Running")?;
        namespace.wait_for_end("refused")?;
        wait::until("the faulty one was started again", wait::LIMIT, || {
            let pods = namespace.pods_of("faulty")?;
            let restarts = pods.first().and_then(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_u64());
            ensure!(restarts > Some(0), "{pods:#?}");
            Ok(())
        })?;
        let running = node::snapshot(namespace.cluster)?;
        for kind in ["process ", "mount ", "cgroup ", "link ", "file ", "lease ", "snapshot "] {
            ensure!(
                running.difference(&node_before).any(|line| line.starts_with(kind)),
                "the test does not see what a pod makes: no {kind:?}in\n{}",
                node::added(&node_before, &running)
            );
        }

        namespace.kubectl(&["delete", "actorapp/shop", "actorapp/faulty", "pod/refused", "pod/spinning", "--wait=false"])?;
        wait::until("all objects are gone", wait::LIMIT * 2, || {
            let left = node::added(&objects_before, &objects(namespace)?);
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })?;
        node::wait_until_clean(namespace.cluster, &node_before)
    })
}
