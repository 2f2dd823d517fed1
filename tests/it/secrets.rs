//! Values from the cluster reach the class that asks for them, and no other.

use anyhow::{Result, ensure};
use perigee_e2e::images;
use perigee_e2e::ns::{condition, with_perigee};
use perigee_e2e::objects::{app, idle, once};
use serde_json::{Value, json};

#[test]
fn a_secret_reaches_only_its_own_class() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        namespace.apply_all(&[
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": "s3cret", "other": "els3"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "blue"}}),
        ])?;
        let secret = |name: &str, key: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "keys", "key": key}}});
        let classes = json!([
            once("owner", "hello", &[], json!({"env": [
                secret("TOKEN", "token"),
                {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ]})),
            // A parent with a secret of its own, and children that print all that they have.
            once("parent", "spawn_class", &["poor"], json!({"env": [secret("TOKEN", "token")], "permissions": {"spawn": ["poor"]}})),
            once("parent-too", "spawn_class", &["rich"], json!({"permissions": {"spawn": ["rich"]}})),
            {"name": "poor", "module": "class_child.wasm", "instances": 0, "limits": {"memory": "2Mi"}},
            {"name": "rich", "module": "class_child.wasm", "instances": 0, "limits": {"memory": "2Mi"}, "env": [secret("TOKEN", "other")]},
            idle(),
        ]);
        namespace.apply(&app("keeping", &image, json!({"actors": classes})))?;
        for words in [
            "env TOKEN=s3cret\n",
            "env COLOUR=blue\n",
            "ok: child args=[] env=[]\n",
            "ok: child args=[] env=[(\"TOKEN\", \"els3\")]\n",
        ] {
            namespace.wait_for_log("deployment/keeping", words)?;
        }
        let pod = namespace.wait_for_pod_of("keeping")?;
        let own_name = format!("env POD={}\n", pod["metadata"]["name"].as_str().unwrap_or_default());
        let log = namespace.wait_for_log("deployment/keeping", &own_name)?;
        ensure!(log.matches("s3cret").count() == 1, "more than its owner has the secret:\n{log}");
        ensure!(!log.contains("PERIGEE_"), "an actor sees the container's variables:\n{log}");
        // Nothing of it is in the annotation, which anybody who may read pods can read.
        ensure!(!pod["metadata"]["annotations"].to_string().contains("s3cret"), "{:#}", pod["metadata"]);
        Ok(())
    })
}

#[test]
fn a_missing_secret_is_named_by_the_app() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let env = json!({"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "token"}}}]});
        namespace.apply(&app("waiting", &image, json!({"actors": [once("owner", "hello", &[], env), idle()]})))?;
        let degraded = |state: &Value| condition(state, "Degraded")["reason"] == "ContainerNotCreated";
        let state = namespace.wait_until("actorapp/waiting", "Degraded for its Secret", degraded)?;
        let message = condition(&state, "Degraded")["message"].as_str().unwrap_or_default();
        ensure!(message.contains("no-such-secret"), "{message}");

        namespace.kubectl(&["create", "secret", "generic", "no-such-secret", "--from-literal=token=here"])?;
        namespace.wait_for_log("deployment/waiting", "env TOKEN=here")?;
        namespace.wait_for_condition("actorapp/waiting", "Available").map(drop)
    })
}
