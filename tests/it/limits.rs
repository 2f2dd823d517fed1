//! Limits hold for one actor, and its end stays its own.

use anyhow::{Result, ensure};
use perigee_e2e::images;
use perigee_e2e::ns::{condition, with_perigee};
use perigee_e2e::objects::{app, idle, once};
use perigee_e2e::wait;
use serde_json::json;

#[test]
fn an_actor_that_grows_past_its_memory_dies_alone() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let limits = json!({"limits": {"memory": "8Mi"}, "permissions": {"spawn": ["hoard"]}});
        namespace.apply(&app("growing", &image, json!({"actors": [once("hoard", "grow", &[], limits), idle()]})))?;
        let log = namespace.wait_for_log("deployment/growing", "sibling ticked on")?;
        for words in ["allocated 4 MiB", "grower died", "tick "] {
            ensure!(log.contains(words), "no {words:?} in:\n{log}");
        }
        ensure!(!log.contains("allocated 8 MiB"), "it grew beyond its limit:\n{log}");
        let death = log.lines().find(|line| line.contains("ran out of memory")).unwrap_or_default();
        for words in ["actor=", "class=hoard", "limits.memory is 8Mi"] {
            ensure!(death.contains(words), "no {words:?} in {death:?} of:\n{log}");
        }
        // Nobody else has noticed: not the actor of another class, not the container, not the app.
        let pod = namespace.wait_for_pod_of("growing")?;
        let container = &pod["status"]["containerStatuses"][0];
        ensure!(container["restartCount"] == 0 && container["ready"] == true, "{container:#}");
        let state = namespace.wait_for_condition("actorapp/growing", "Available")?;
        ensure!(condition(&state, "Degraded")["status"] == "False", "{:#}", state["status"]);
        Ok(())
    })
}

#[test]
fn within_its_limits_an_actor_lives() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let classes = json!([
            once("hoard", "grow", &["4"], json!({"limits": {"memory": "8Mi"}, "permissions": {"spawn": ["hoard"]}})),
            once(
                "many",
                "many_actors",
                &["200"],
                json!({"limits": {"memory": "1Mi", "mailbox": "64Ki", "actors": 200}, "permissions": {"spawn": ["many"]}})
            ),
            once("reply", "spawn_reply", &["200"], json!({"permissions": {"spawn": ["reply"]}})),
            once("ping", "ping_pong", &["1000"], json!({"permissions": {"spawn": ["ping"]}})),
            once(
                "flood",
                "one_way",
                &["20000"],
                json!({"limits": {"memory": "4Mi", "mailbox": "64Ki"}, "permissions": {"spawn": ["flood"]}})
            ),
            idle(),
        ]);
        namespace.apply(&app("living", &image, json!({"actors": classes})))?;
        for words in ["grower finished", "answered 200", "spawn_reply count=200", "ping_pong count=1000", "one_way count=20000"] {
            namespace.wait_for_log("deployment/living", words)?;
        }
        Ok(())
    })
}

#[test]
fn actors_that_do_not_fit_their_pod_are_not_rolled_out() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let web = json!({"name": "web", "module": "idle.wasm", "instances": 10, "limits": {"memory": "16Mi"}});
        let spec =
            |memory: &str| json!({"actors": [web], "resources": {"limits": {"memory": memory}, "requests": {"cpu": "10m"}}});
        namespace.apply(&app("large", &image, spec("64Mi")))?;
        let state = namespace
            .wait_until("actorapp/large", "not accepted", |state| condition(state, "Accepted")["reason"] == "MemoryDoesNotFit")?;
        let accepted = condition(&state, "Accepted");
        ensure!(accepted["status"] == "False", "{accepted:#}");
        let message = accepted["message"].as_str().unwrap_or_default();
        for words in ["10 x 16Mi", "192Mi", "resources.limits.memory is 64Mi"] {
            ensure!(message.contains(words), "no {words:?} in {message:?}");
        }
        namespace.wait_for_event("large", "do not fit")?;
        ensure!(namespace.pods_of("large")?.is_empty());

        namespace.apply(&app("large", &image, spec("256Mi")))?;
        namespace.wait_for_condition("actorapp/large", "Available")?;
        let log = wait::until("all ten are ready", wait::LIMIT, || {
            let log = namespace.logs("deployment/large")?;
            ensure!(log.matches("ready").count() >= 10, "{log}");
            Ok(log)
        })?;
        ensure!(log.lines().filter(|line| *line == "ready").count() == 10, "{log}");
        Ok(())
    })
}
