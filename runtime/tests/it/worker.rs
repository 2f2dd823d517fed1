//! `perigee worker`, as the shim starts it.

use std::path::Path;

use perigee_spec::{Manifest, annotation};

use crate::harness::{Ran, finish, guests, perigee};

fn worker(app: &str, termination_log: &Path) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.json");
    std::fs::write(&file, app).unwrap();
    finish(perigee(&["worker", "--app"]).arg(file).arg("--modules").arg(guests()).arg("--termination-log").arg(termination_log))
}

fn annotation(actors: &str) -> String {
    let text =
        format!("{{apiVersion: perigee.dev/v1alpha1, kind: ActorApp, metadata: {{name: test}}, spec: {{actors: [{actors}]}}}}");
    annotation::encode(&Manifest::parse(serde_yaml::Deserializer::from_str(&text)).unwrap().app().unwrap()).unwrap()
}

#[test]
fn a_worker_runs_what_the_annotation_says() {
    let folder = tempfile::tempdir().unwrap();
    let ran = worker(
        &annotation("{name: a, module: hello.wasm, args: [x], restart: {policy: Temporary}}"),
        &folder.path().join("none"),
    );
    ran.code(0).prints("arg 1: x");
    assert!(!folder.path().join("none").exists(), "the kubelet makes the file where it wants one");
}

#[test]
fn the_reason_of_a_failure_is_left_for_the_kubelet() {
    let file = tempfile::NamedTempFile::new().unwrap();
    worker(&annotation("{name: a, module: unknown_import.wasm}"), file.path()).code(126);
    let message = std::fs::read_to_string(file.path()).unwrap();
    assert!(message.contains("unknown_import.wasm") && message.contains("nowhere"), "{message}");

    worker(&annotation("{name: a, module: exit_code.wasm, args: ['3'], restart: {maxRestarts: 1}}"), file.path()).code(3);
    let message = std::fs::read_to_string(file.path()).unwrap();
    assert!(message.contains("class a") && message.contains("exited with code 3"), "{message}");
}

#[test]
fn a_forged_app_is_refused_with_the_reason() {
    let file = tempfile::NamedTempFile::new().unwrap();
    worker(r#"{"version":1,"name":"x","actors":[{"name":"a","permissions":{"root":true}}]}"#, file.path()).code(126);
    assert!(std::fs::read_to_string(file.path()).unwrap().contains("root"));
}
