//! Restarts: by the worker as long as the policy allows, then by the kubelet, with the reason at every place that a person
//! would look at.

use anyhow::{Result, ensure};
use perigee_e2e::images;
use perigee_e2e::ns::{condition, with_perigee};
use perigee_e2e::objects::app;
use perigee_e2e::wait;
use serde_json::{Value, json};

fn crash(args: &[&str], restart: &Value) -> Value {
    json!({"actors": [
        {"name": "faulty", "module": "crash.wasm", "args": args, "restart": restart, "limits": {"memory": "4Mi"}},
        {"name": "idle", "module": "idle.wasm", "limits": {"memory": "2Mi"}},
    ]})
}

#[test]
fn a_class_that_fails_too_often_ends_its_container_and_the_app_says_why() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let restart = json!({"policy": "Permanent", "maxRestarts": 2, "window": "60s"});
        namespace.apply(&app("failing", &image, crash(&["0", "exit", "3"], &restart)))?;
        let degraded = |state: &Value| condition(state, "Degraded")["reason"] == "ActorsFailed";
        let state = namespace.wait_until("actorapp/failing", "Degraded for its actors", degraded)?;
        let message = condition(&state, "Degraded")["message"].as_str().unwrap_or_default();
        for words in ["exit code 3", "class faulty", "exited with code 3", "2 restarts within 1m"] {
            ensure!(message.contains(words), "no {words:?} in {message:?}");
        }
        ensure!(state["status"]["reason"] == "ActorsFailed", "{:#}", state["status"]);

        let pods = namespace.pods_of("failing")?;
        let status = &pods[0]["status"]["containerStatuses"][0];
        let end = [&status["state"]["terminated"], &status["lastState"]["terminated"]].into_iter().find(|end| end.is_object());
        let end = end.unwrap_or(&Value::Null);
        ensure!(end["exitCode"] == 3, "{status:#}");
        ensure!(end["message"].as_str().is_some_and(|message| message.contains("class faulty")), "{status:#}");
        namespace.wait_for_event("failing", "class faulty").map(drop)
    })
}

#[test]
fn within_its_intensity_a_class_is_restarted_and_the_container_is_not() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let restart = json!({"policy": "Transient", "maxRestarts": 1_000_000, "window": "1h"});
        namespace.apply(&app("restarting", &image, crash(&["200", "panic"], &restart)))?;
        let log = wait::until("it has started five times", wait::LIMIT, || {
            let log = namespace.logs("deployment/restarting")?;
            ensure!(log.matches("crash: started").count() >= 5, "{log}");
            Ok(log)
        })?;
        ensure!(log.contains("class=faulty") && log.contains("restarting"), "{log}");
        let pod = namespace.wait_for_pod_of("restarting")?;
        ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "{:#}", pod["status"]);
        let state = namespace.wait_for_condition("actorapp/restarting", "Available")?;
        ensure!(condition(&state, "Degraded")["status"] == "False", "{:#}", state["status"]);
        Ok(())
    })
}
