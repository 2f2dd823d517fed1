//! Pods and ActorApps as the tests write them: the few fields that a test is about, around them what all have.

use serde_json::{Value, json};

/// The RuntimeClass of Wasm pods, and the handler behind it.
pub const RUNTIME_CLASS: &str = "perigee";

/// The container that runs an ActorApp in its pods.
pub const APP_CONTAINER: &str = "app";

/// A plain pod on the runtime class, with one container that runs a module of its image once.
pub fn wasm_pod(name: &str, image: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "runtimeClassName": RUNTIME_CLASS,
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": image, "command": command}],
        },
    })
}

/// An ActorApp. `spec` is the rest of its spec. Its pods reserve next to nothing, so that those of all tests that run at
/// the same time fit one node.
pub fn app(name: &str, image: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "perigee.dev/v1alpha1", "kind": "ActorApp",
        "metadata": {"name": name},
        "spec": {"image": image, "resources": {"requests": {"cpu": "10m"}}},
    });
    if let (Some(all), Value::Object(given)) = (object["spec"].as_object_mut(), spec) {
        all.extend(given);
    }
    object
}

/// A class that runs its module once and is not started again. `more` is the rest of the class.
pub fn once(name: &str, module: &str, args: &[&str], more: Value) -> Value {
    let mut class = json!({
        "name": name, "module": format!("{module}.wasm"), "args": args,
        "restart": {"policy": "Temporary"},
        "limits": {"memory": "4Mi"},
    });
    if let (Some(all), Value::Object(given)) = (class.as_object_mut(), more) {
        all.extend(given);
    }
    class
}

/// A class whose actor waits for ever: with it, an app goes on after all others have ended.
pub fn idle() -> Value {
    json!({"name": "idle", "module": "idle.wasm", "limits": {"memory": "2Mi"}})
}
