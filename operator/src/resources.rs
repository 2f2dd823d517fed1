//! Requests and limits of the app container: what the ActorApp gives, and what follows from its actors' own limits.
//!
//! ```text
//! requests.memory = OVERHEAD + sum over classes of instances x limits.memory       (what surely runs)
//! limits.memory   = that + sum over classes that may spawn of
//!                     instances x limits.actors x the largest limits.memory that may be spawned, however indirectly
//! ```
//! The limit is a true upper bound by the actors' own limits (`limits.actors` counts descendants): a worker that grows
//! beyond it has a leak. It is often far above what a node has; who wants it tighter sets `resources.limits.memory`.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use perigee_spec::{ActorClass, AppSpec, MemoryBytes};

use crate::plan::Refusal;
use crate::quantity;

/// What the worker itself takes beside the actors: its own pages, Tokio, Wasmtime, the mapped code of a few modules.
/// A small margin over an idle worker, since compiled code is mapped from a file and can be given back.
const OVERHEAD: u64 = 32 << 20;
/// The largest limit that is derived. Beyond it no node is limited by it, and sums stay far from 64 bits.
const MAX_DERIVED: u64 = 1 << 40;
/// So that the scheduler does not take a pod for free, and an autoscaler has a base to count from. No limit is derived:
/// throttling by quota would stop every actor of the pod at once.
const CPU_REQUEST: &str = "100m";

/// The container's resources.
pub(crate) fn resources(app: &AppSpec, given: Option<&ResourceRequirements>) -> Result<ResourceRequirements, Refusal> {
    let mut resources = given.cloned().unwrap_or_default();
    let started = started(app);
    let mut limits = resources.limits.take().unwrap_or_default();
    let mut requests = resources.requests.take().unwrap_or_default();
    let requested = memory(&requests, "requests")?;
    match memory(&limits, "limits")? {
        Some(limit) if limit < started => return Err(does_not_fit(app, started, limit)),
        Some(_) => {}
        None => {
            let bound = started.saturating_add(spawned(app)).min(MAX_DERIVED).max(started).max(requested.unwrap_or(0));
            limits.insert("memory".into(), amount(bound));
        }
    }
    requests.entry("memory".into()).or_insert_with(|| amount(started));
    // With a limit and no request, Kubernetes takes the limit for the request.
    if !limits.contains_key("cpu") {
        requests.entry("cpu".into()).or_insert_with(|| Quantity(CPU_REQUEST.into()));
    }
    resources.limits = Some(limits);
    resources.requests = Some(requests);
    Ok(resources)
}

fn amount(bytes: u64) -> Quantity {
    Quantity(MemoryBytes(bytes).to_string())
}

fn memory(resources: &BTreeMap<String, Quantity>, list: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(Quantity(text)) = resources.get("memory") else { return Ok(None) };
    quantity::bytes(text).map(Some).ok_or_else(|| Refusal::NoQuantity { list, text: text.clone() })
}

fn started(app: &AppSpec) -> u64 {
    app.actors().iter().fold(OVERHEAD, |sum, class| sum.saturating_add(of_instances(class)))
}

fn of_instances(class: &ActorClass) -> u64 {
    u64::from(class.instances).saturating_mul(class.limits.memory.0)
}

fn spawned(app: &AppSpec) -> u64 {
    let of_class = |class: &ActorClass| {
        let largest = spawnable(app, class).into_iter().map(|class| class.limits.memory.0).max().unwrap_or(0);
        u64::from(class.instances).saturating_mul(u64::from(class.limits.actors)).saturating_mul(largest)
    };
    app.actors().iter().map(of_class).fold(0, u64::saturating_add)
}

/// The classes that an actor of `class` may spawn, and those that these may spawn in turn.
fn spawnable<'a>(app: &'a AppSpec, class: &'a ActorClass) -> Vec<&'a ActorClass> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut open = vec![class];
    while let Some(parent) = open.pop() {
        for child in parent.permissions.spawn.iter().filter_map(|name| app.class(name.as_str())) {
            if seen.insert(child.name.as_str()) {
                found.push(child);
                open.push(child);
            }
        }
    }
    found
}

fn does_not_fit(app: &AppSpec, started: u64, limit: u64) -> Refusal {
    let mut sum = format!("{} for the worker", MemoryBytes(OVERHEAD));
    for class in app.actors().iter().filter(|class| class.instances > 0) {
        sum += &format!(" + {} {} x {}", class.name, class.instances, class.limits.memory);
    }
    Refusal::MemoryDoesNotFit { sum, total: MemoryBytes(started), limit: MemoryBytes(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn app(classes: &[(&str, u32, &str, u32, &[&str])]) -> AppSpec {
        let class = |(name, instances, memory, actors, spawn): &(&str, u32, &str, u32, &[&str])| {
            let mut class = ActorClass::new(name.parse().unwrap());
            class.instances = *instances;
            class.limits.memory = memory.parse().unwrap();
            class.limits.mailbox = MemoryBytes(4 << 10);
            class.limits.actors = *actors;
            class.permissions.spawn = spawn.iter().map(|name| name.parse().unwrap()).collect();
            class
        };
        AppSpec::new("shop", classes.iter().map(class).collect(), "spec.actors").unwrap()
    }

    fn given(yaml: &str) -> ResourceRequirements {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn derived(app: &AppSpec, yaml: &str) -> serde_json::Value {
        serde_json::to_value(resources(app, Some(&given(yaml))).unwrap()).unwrap()
    }

    #[test]
    fn an_app_without_spawning_gets_what_it_starts() {
        let app = app(&[("web", 2, "16Mi", 1000, &[]), ("idle", 0, "1Gi", 1000, &[])]);
        assert_eq!(
            derived(&app, "{}"),
            serde_json::json!({"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi", "cpu": "100m"}})
        );
    }

    #[test]
    fn the_limit_covers_the_largest_class_that_is_spawned_however_indirectly() {
        let app = app(&[("web", 2, "16Mi", 10, &["cart"]), ("cart", 0, "2Mi", 5, &["pdf", "cart"]), ("pdf", 0, "64Mi", 0, &[])]);
        // 32 + 2 x 16 + 2 x 10 x 64 = 1344
        assert_eq!(derived(&app, "{}")["limits"]["memory"], "1344Mi");
    }

    #[test]
    fn what_is_given_stays() {
        let app = app(&[("web", 1, "16Mi", 10, &[])]);
        assert_eq!(
            derived(&app, "{limits: {memory: 512Mi, cpu: '1'}}"),
            serde_json::json!({"limits": {"memory": "512Mi", "cpu": "1"}, "requests": {"memory": "48Mi"}})
        );
        assert_eq!(derived(&app, "{requests: {memory: 1Gi}}")["limits"]["memory"], "1Gi", "a limit is never below the request");
    }

    #[test]
    fn a_limit_of_exactly_the_sum_fits_and_one_byte_less_does_not() {
        let app = app(&[("web", 2, "16Mi", 10, &[]), ("db", 1, "64Mi", 10, &[]), ("idle", 0, "1Gi", 1, &[])]);
        assert!(resources(&app, Some(&given("{limits: {memory: 128Mi}}"))).is_ok());
        let refusal = resources(&app, Some(&given("{limits: {memory: '134217727'}}"))).unwrap_err();
        insta::assert_snapshot!(refusal, @"the actors do not fit: 32Mi for the worker + web 2 x 16Mi + db 1 x 64Mi = 128Mi, but resources.limits.memory is 134217727: raise it, or lower instances or limits.memory of a class");
    }

    #[test]
    fn a_limit_that_is_no_quantity_is_refused() {
        let app = app(&[("web", 1, "16Mi", 10, &[])]);
        assert!(matches!(
            resources(&app, Some(&given("{limits: {memory: 16MB}}"))),
            Err(Refusal::NoQuantity { list: "limits", .. })
        ));
    }

    proptest! {
        #[test]
        fn the_request_is_never_above_the_limit(instances in 1u32..=10_000, memory in 65_536u64..=4 << 30, actors in 0u32..=1_000_000) {
            let app = app(&[("web", instances, &memory.to_string(), actors, &["web"])]);
            let derived = derived(&app, "{}");
            let amount = |list: &str| quantity::bytes(derived[list]["memory"].as_str().unwrap()).unwrap();
            prop_assert!(amount("requests") <= amount("limits"));
            prop_assert!(amount("limits") <= MAX_DERIVED.max(amount("requests")));
        }
    }
}
