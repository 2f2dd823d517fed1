//! What is not granted is denied, with an error that the guest sees; what is granted works.

use anyhow::{Result, ensure};
use perigee_e2e::images::{self, PROBE};
use perigee_e2e::ns::{Namespace, with_perigee};
use perigee_e2e::objects::{app, idle, once};
use perigee_e2e::wait;
use serde_json::{Value, json};

/// An app of these classes and an idle one, in a pod with a volume on /data and /other and a native server on port 8080.
fn apply(namespace: &Namespace, name: &str, classes: &[Value]) -> Result<()> {
    let mut actors = classes.to_vec();
    actors.push(idle());
    let mounts = json!([{"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/other"}]);
    let template = json!({"spec": {
        "volumes": [{"name": "data", "emptyDir": {}}],
        "initContainers": [{
            "name": "server", "image": PROBE, "args": ["serve", ":8080", "served"], "restartPolicy": "Always",
            "startupProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        }],
        "containers": [{"name": "app", "volumeMounts": mounts}],
    }});
    let image = images::guests(namespace.cluster)?;
    namespace.apply(&app(name, &image, json!({"actors": actors, "podTemplate": template})))
}

/// Waits until the app's log has each of these words, and returns it.
fn says(namespace: &Namespace, name: &str, all: &[&str]) -> Result<String> {
    let mut log = String::new();
    for words in all {
        log = namespace.wait_for_log(&format!("deployment/{name}"), words)?;
    }
    Ok(log)
}

fn folders(rules: Value) -> Value {
    json!({"permissions": {"filesystem": rules}})
}

#[test]
fn a_file_needs_its_folder() -> Result<()> {
    with_perigee(|namespace| {
        let data = json!([{"path": "/data"}]);
        apply(
            namespace,
            "denied",
            &[
                // Each of them fails; the log of the end of an actor names its class.
                once("none", "file", &["write", "/data/by-none"], json!({})),
                once("elsewhere", "file", &["write", "/other/by-elsewhere"], folders(data.clone())),
                once("dots", "file", &["read", "/data/../etc/hosts"], folders(data.clone())),
                once("rootfs", "file", &["read", "/hello.wasm"], folders(data.clone())),
                once(
                    "read-only",
                    "file",
                    &["write", "/data/by-read-only"],
                    folders(json!([{"path": "/data", "readOnly": true}])),
                ),
                // The last look: what has been written by then.
                once("granted", "file", &["write", "/data/by-granted"], folders(data.clone())),
            ],
        )?;
        let log = says(namespace, "denied", &["ok: written", "ready"])?;
        let log = wait::until("all five are refused", wait::LIMIT, || {
            let log = namespace.logs("deployment/denied").unwrap_or_else(|_| log.clone());
            ensure!(log.lines().filter(|line| line.starts_with("error: ")).count() == 5, "{log}");
            Ok(log)
        })?;
        ensure!(log.lines().filter(|line| line.starts_with("ok: ")).count() == 1, "{log}");

        apply(
            namespace,
            "look",
            &[once("look", "file", &["list", "/data"], folders(json!([{"path": "/data", "readOnly": true}])))],
        )?;
        says(namespace, "look", &["ok: "]).map(drop)
    })
}

#[test]
fn what_was_written_is_read_by_another_class_of_the_pod() -> Result<()> {
    with_perigee(|namespace| {
        // Started again until the file is there.
        let mut reader = once("reader", "file", &["read", "/data/note"], folders(json!([{"path": "/data", "readOnly": true}])));
        reader["restart"] = json!({"policy": "Permanent", "maxRestarts": 1_000_000, "window": "1h"});
        let writer = once("writer", "file", &["write", "/data/note"], folders(json!([{"path": "/data"}])));
        apply(namespace, "both", &[writer, reader])?;
        says(namespace, "both", &["ok: written", "ok: 19 bytes: \"written by a guest\\n\""]).map(drop)
    })
}

#[test]
fn a_connection_needs_its_rule() -> Result<()> {
    with_perigee(|namespace| {
        let connect = |rules: Value| json!({"permissions": {"network": {"connect": rules}}});
        let server = "127.0.0.1:8080";
        apply(namespace, "granted", &[once("web", "connect", &[server], connect(json!([server])))])?;
        apply(namespace, "by-range", &[once("web", "connect", &[server], connect(json!(["127.0.0.0/8:*"])))])?;
        apply(namespace, "none", &[once("web", "connect", &[server], json!({}))])?;
        apply(namespace, "other-port", &[once("web", "connect", &[server], connect(json!(["127.0.0.1:8081"])))])?;
        // Of the rules of one class nothing spills over to another of the same pod.
        let rich = json!({"name": "rich", "module": "idle.wasm", "permissions": {"network": {"connect": ["*:*"]}}});
        apply(namespace, "other-class", &[once("web", "connect", &[server], json!({})), rich])?;
        for name in ["granted", "by-range"] {
            says(namespace, name, &["ok: peer 127.0.0.1:8080"])?;
        }
        for name in ["none", "other-port", "other-class"] {
            let log = says(namespace, name, &["error: "])?;
            ensure!(log.contains("denied") && log.contains("permissions.network.connect"), "{name}: {log}");
        }
        Ok(())
    })
}

#[test]
fn listening_needs_its_rule() -> Result<()> {
    with_perigee(|namespace| {
        let listen = |rules: Value| json!({"permissions": {"network": {"listen": rules}}});
        apply(namespace, "granted", &[once("web", "listen", &["0.0.0.0:9000"], listen(json!(["0.0.0.0:9000"])))])?;
        apply(namespace, "denied", &[once("web", "listen", &["0.0.0.0:9000"], listen(json!(["0.0.0.0:9001"])))])?;
        says(namespace, "granted", &["ok: 0.0.0.0:9000"])?;
        says(namespace, "denied", &["denied", "permissions.network.listen"]).map(drop)
    })
}

#[test]
fn a_name_of_the_cluster_is_resolved_for_who_may_connect_to_it() -> Result<()> {
    with_perigee(|namespace| {
        namespace.apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"},
            "spec": {"selector": {"perigee.dev/app-name": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }))?;
        apply(namespace, "server", &[])?;
        namespace.wait_for_condition("actorapp/server", "Available")?;
        let by_name = format!("db.{}.svc.cluster.local:80", namespace.name);
        let connect = |rules: Value| json!({"permissions": {"network": {"connect": rules}}});
        apply(namespace, "granted", &[once("web", "connect", &[&by_name], connect(json!([by_name])))])?;
        // A short name is searched for as in any other pod.
        apply(namespace, "short", &[once("web", "connect", &["db:80"], connect(json!(["db:80"])))])?;
        apply(namespace, "denied", &[once("web", "connect", &[&by_name], connect(json!(["other.svc:80"])))])?;
        says(namespace, "granted", &["ok: peer 10.214."])?;
        says(namespace, "short", &["ok: peer 10.214."])?;
        says(namespace, "denied", &["error: ", "denied"]).map(drop)
    })
}

#[test]
fn a_class_spawns_only_the_classes_that_it_may() -> Result<()> {
    with_perigee(|namespace| {
        let child = json!({
            "name": "child", "module": "class_child.wasm", "instances": 0, "args": ["childs-own"],
            "env": [{"name": "A", "value": "b"}], "limits": {"memory": "2Mi"},
        });
        let parent = |spawn: Value| once("parent", "spawn_class", &["child"], json!({"permissions": {"spawn": spawn}}));
        apply(namespace, "granted", &[parent(json!(["child"])), child.clone()])?;
        apply(namespace, "denied", &[parent(json!([])), child])?;
        says(namespace, "granted", &["ok: child args=[\"childs-own\"] env=[(\"A\", \"b\")]"])?;
        let remedy = "error: denied: the class \"parent\" may not spawn \"child\": add it to its permissions.spawn";
        says(namespace, "denied", &[remedy])?;

        let own = |spawn: Value| once("own", "spawn_function", &[], json!({"permissions": {"spawn": spawn}}));
        apply(namespace, "own-granted", &[own(json!(["own"]))])?;
        apply(namespace, "own-denied", &[own(json!([]))])?;
        says(namespace, "own-granted", &["spawning", "ok: 42"])?;
        let log = says(namespace, "own-denied", &["spawning", "may not spawn"])?;
        ensure!(!log.contains("ok:"), "{log}");
        Ok(())
    })
}
