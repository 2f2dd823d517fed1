//! Scaling and changing an app, as any Deployment's.

use anyhow::{Result, ensure};
use perigee_e2e::images::{self, Form};
use perigee_e2e::ns::{condition, with_perigee};
use perigee_e2e::objects::app;
use perigee_e2e::wait;
use serde_json::json;

#[test]
fn an_app_is_scaled_and_a_new_image_is_rolled_out() -> Result<()> {
    with_perigee(|namespace| {
        let first = images::wasm(namespace.cluster, "first", &["idle"], Form::Image)?;
        let second = images::wasm(namespace.cluster, "second", &["idle", "c_hello"], Form::Image)?;
        let spec = json!({"actors": [{"name": "web", "module": "idle.wasm", "limits": {"memory": "2Mi"}}]});
        namespace.apply(&app("shop", &first, spec))?;
        namespace.wait_for_condition("actorapp/shop", "Available")?;

        for replicas in [3, 0, 2] {
            namespace.kubectl(&["scale", "actorapp/shop", &format!("--replicas={replicas}")])?;
            namespace.wait_until("actorapp/shop", &format!("{replicas} pods are ready"), |state| {
                state["status"]["readyReplicas"] == replicas && state["status"]["replicas"] == replicas
            })?;
            // The status may be of before; the pods are not.
            wait::until("there are as many pods", wait::LIMIT, || {
                let pods = namespace.pods_of("shop")?.len();
                ensure!(pods == replicas, "{pods}");
                Ok(())
            })?;
        }

        let patch = json!({"spec": {"image": second}}).to_string();
        namespace.kubectl(&["patch", "actorapp/shop", "--type=merge", "--patch", &patch])?;
        wait::until("all pods are of the second image", wait::LIMIT, || {
            let pods = namespace.pods_of("shop")?;
            let is_new = |pod: &serde_json::Value| {
                pod["spec"]["containers"][0]["image"] == second.as_str() && pod["status"]["containerStatuses"][0]["ready"] == true
            };
            ensure!(pods.len() == 2 && pods.iter().all(is_new), "{pods:#?}");
            Ok(())
        })?;
        let state = namespace.wait_until("actorapp/shop", "the rollout is over", |state| {
            condition(state, "Progressing")["reason"] == "RolledOut"
                && state["status"]["observedGeneration"] == state["metadata"]["generation"]
                && state["status"]["updatedReplicas"] == 2
        })?;
        ensure!(condition(&state, "Available")["status"] == "True", "{:#}", state["status"]);
        Ok(())
    })
}

#[test]
fn an_image_that_does_not_exist_is_reported_and_the_old_one_goes_on() -> Result<()> {
    with_perigee(|namespace| {
        let image = images::wasm(namespace.cluster, "first", &["idle"], Form::Image)?;
        let spec = json!({"actors": [{"name": "web", "module": "idle.wasm", "limits": {"memory": "2Mi"}}]});
        namespace.apply(&app("shop", &image, spec))?;
        namespace.wait_for_condition("actorapp/shop", "Available")?;
        let missing = format!("{image}-no-such");
        let patch = json!({"spec": {"image": missing}}).to_string();
        namespace.kubectl(&["patch", "actorapp/shop", "--type=merge", "--patch", &patch])?;
        let state = namespace.wait_until("actorapp/shop", "Degraded for its image", |state| {
            condition(state, "Degraded")["reason"] == "ImageNotPulled"
        })?;
        let message = condition(&state, "Degraded")["message"].as_str().unwrap_or_default();
        ensure!(message.contains(&missing), "{message}");
        ensure!(condition(&state, "Available")["status"] == "True", "{:#}", state["status"]);
        Ok(())
    })
}
