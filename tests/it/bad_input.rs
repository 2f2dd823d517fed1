//! What cannot run fails at once, and `kubectl describe pod` says why: never a hang, never a bare exit code.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use perigee_e2e::built;
use perigee_e2e::images::{self, Form};
use perigee_e2e::ns::{Namespace, with_perigee};
use perigee_e2e::objects::{APP_CONTAINER, wasm_pod};
use perigee_e2e::wait;
use serde_json::{Value, json};

/// Waits for the end of a pod that must fail, and checks that both its status and `kubectl describe` have these words.
fn fails_with(namespace: &Namespace, pod: &str, words: &[&str]) -> Result<Value> {
    let end = namespace.wait_for_end(pod)?;
    ensure!(end["exitCode"] != 0, "{pod}: {end:#}");
    namespace.wait_for_phase(pod, "Failed")?;
    let message = end["message"].as_str().unwrap_or_default();
    let described = namespace.kubectl(&["describe", "pod", pod])?;
    for word in words {
        ensure!(message.contains(word), "{pod}: no {word:?} in its message: {end:#}");
        ensure!(described.contains(word), "{pod}: no {word:?} in:\n{described}");
    }
    Ok(end)
}

/// A pod as the operator makes them, but with an annotation of the test's.
fn annotated(name: &str, image: &str, app: &Value) -> Value {
    let mut pod = wasm_pod(name, image, &["/.perigee/app"]);
    pod["metadata"]["annotations"] = json!({"perigee.dev/app": app.to_string()});
    pod["spec"]["containers"][0]["name"] = json!(APP_CONTAINER);
    pod
}

#[test]
fn modules_that_cannot_run_say_why() -> Result<()> {
    with_perigee(|namespace| {
        let guests = ["not_wasm", "no_entrypoint", "wrong_entrypoint", "unknown_import", "huge_memory"];
        let image = images::wasm(namespace.cluster, "bad", &guests, Form::Image)?;
        let cases: [(&str, &str, &[&str]); 6] = [
            ("not-wasm", "/not_wasm.wasm", &["not_wasm.wasm", "is no WebAssembly"]),
            ("no-entrypoint", "/no_entrypoint.wasm", &["no_entrypoint.wasm", "\"_start\""]),
            ("wrong-entrypoint", "/wrong_entrypoint.wasm", &["wrong_entrypoint.wasm", "\"_start\"", "_start(i32)"]),
            ("unknown-import", "/unknown_import.wasm", &["unknown_import.wasm", "nowhere", "nothing"]),
            ("missing", "/nowhere.wasm", &["nowhere.wasm", "is not in the image", "huge_memory.wasm"]),
            ("huge-memory", "/huge_memory.wasm", &["256Mi", "limits.memory is 64Mi"]),
        ];
        let pods = cases.iter().map(|(name, module, _)| {
            let mut pod = wasm_pod(name, &image, &[module]);
            pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
            pod
        });
        namespace.apply_all(&pods.collect::<Vec<_>>())?;
        for (name, _, words) in cases {
            fails_with(namespace, name, words)?;
        }
        Ok(())
    })
}

#[test]
fn images_without_the_module_that_is_meant_say_what_they_have() -> Result<()> {
    with_perigee(|namespace| {
        let cluster = namespace.cluster;
        let none =
            images::packed(cluster, "e2e/none", None, &[PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))], &[])?;
        let two = images::wasm(cluster, "two", &["hello", "c_hello"], Form::Image)?;
        let two_as_artifact = images::wasm(cluster, "two-as-artifact", &["hello", "c_hello"], Form::Artifact)?;
        // A native program where a module should be: precompiled code is never loaded.
        let native = cluster.folder().join("layouts/native.wasm");
        std::fs::copy(built::program("perigee-operator")?, &native)?;
        let native = images::packed(cluster, "e2e/native", None, &[native], &[])?;
        let app = |class: Value| json!({"version": 1, "name": "x", "actors": [class]});
        namespace.apply_all(&[
            annotated("none", &none, &app(json!({"name": "web"}))),
            annotated("two", &two, &app(json!({"name": "web"}))),
            annotated("two-as-artifact", &two_as_artifact, &app(json!({"name": "web"}))),
            annotated("other", &two, &app(json!({"name": "web", "module": "shop.wasm"}))),
            annotated("entrypoint", &two, &app(json!({"name": "web", "module": "hello.wasm", "entrypoint": "serve"}))),
            annotated("native", &native, &app(json!({"name": "web", "module": "native.wasm"}))),
            wasm_pod("plain-native", &native, &[]),
        ])?;
        fails_with(namespace, "none", &["class web", "the image has no WebAssembly module"])?;
        fails_with(namespace, "two", &["class web", "more than one module", "c_hello.wasm, hello.wasm"])?;
        fails_with(namespace, "two-as-artifact", &["class web", "more than one module", "c_hello.wasm"])?;
        fails_with(namespace, "other", &["class web", "shop.wasm", "is not in the image", "c_hello.wasm, hello.wasm"])?;
        fails_with(namespace, "entrypoint", &["\"web\"", "hello.wasm", "\"serve\"", "_start"])?;
        fails_with(namespace, "native", &["native.wasm", "precompiled modules are never loaded"])?;
        fails_with(namespace, "plain-native", &["native.wasm", "precompiled modules are never loaded"])?;
        Ok(())
    })
}

#[test]
fn a_forged_annotation_fails_the_pod_with_an_event_that_says_why() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::wasm(namespace.cluster, "hello", &["hello"], Form::Image)?;
        let class = |more: Value| {
            let mut class = json!({"name": "web", "module": "hello.wasm"});
            if let (Some(all), Value::Object(more)) = (class.as_object_mut(), more) {
                all.extend(more);
            }
            json!({"version": 1, "name": "x", "actors": [class]})
        };
        let cases = [
            ("permission", class(json!({"permissions": {"root": true}})), "root"),
            ("limit", class(json!({"limits": {"memory": "1Ei"}})), "memory"),
            ("version", json!({"version": 99, "name": "x", "actors": []}), "version"),
            ("text", json!("no app at all"), "perigee.dev/app"),
        ];
        let pods: Vec<_> = cases.iter().map(|(name, app, _)| annotated(name, &image, app)).collect();
        namespace.apply_all(&pods)?;
        for (name, _, word) in &cases {
            fails_with(namespace, name, &["perigee.dev/app", word])?;
            let event = namespace.wait_for_event(name, "perigee.dev/app")?;
            ensure!(event.contains(word), "{event}");
            ensure!(namespace.logs(name).map_or(true, |log| log.is_empty()), "{name} has run");
        }
        Ok(())
    })
}

#[test]
fn a_folder_that_is_not_in_the_pod_is_named() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::wasm(namespace.cluster, "hello", &["hello"], Form::Image)?;
        let class = json!({"name": "web", "permissions": {"filesystem": [{"path": "/no/such/folder"}]}});
        namespace.apply(&annotated("folder", &image, &json!({"version": 1, "name": "x", "actors": [class]})))?;
        fails_with(namespace, "folder", &["\"web\"", "/no/such/folder", "permissions.filesystem"])?;
        let log = wait::until("the log is there", wait::LIMIT, || namespace.logs("folder"))?;
        ensure!(!log.contains("hello"), "{log}");
        Ok(())
    })
}
