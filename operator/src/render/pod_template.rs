//! Merging the ActorApp's `podTemplate` over the rendered pod, as a strategic merge patch would: objects field by field,
//! lists with named entries by name, other lists as a whole, and null takes a field away.
//!
//! It works on JSON, not on types: a field that our types do not know is the API server's to accept or to refuse, and
//! must not get lost here.

use perigee_spec::{APP_CONTAINER, annotation};
use serde_json::{Map, Value};

use super::{APP_LABEL, MANAGED_BY_LABEL};
use crate::crd::PodTemplate;
use crate::plan::Refusal;

/// Lists of a PodSpec whose entries are merged, with the field that names an entry: the merge keys of
/// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>.
const MERGE_KEYS: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("imagePullSecrets", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("ports", "containerPort"),
    ("hostAliases", "ip"),
];

/// Fields of the app container that the ActorApp has a place of its own for.
const OWN_FIELDS: [(&str, &str); 3] = [
    ("image", "write it as spec.image"),
    ("command", "the worker is started in its place: write spec.actors[].entrypoint"),
    ("args", "write spec.actors[].args"),
];

/// Variables of the container that carry the values for actors.
const OWN_VARIABLES: &str = "PERIGEE_";

/// Refuses a template that would take the app out of the operator's hands.
pub(crate) fn check(template: &PodTemplate) -> Result<(), Refusal> {
    if let Some(metadata) = &template.metadata {
        for label in [APP_LABEL, MANAGED_BY_LABEL] {
            if metadata.labels.contains_key(label) {
                return Err(conflict(format!("metadata.labels[{label}]"), "the operator sets it: leave it out"));
            }
        }
        if metadata.annotations.contains_key(annotation::KEY) {
            let path = format!("metadata.annotations[{}]", annotation::KEY);
            return Err(conflict(path, "the operator writes spec.actors there: leave it out"));
        }
    }
    let containers = template.spec.as_ref().and_then(|spec| spec.get("containers"));
    let Some(containers) = containers.filter(|containers| !containers.is_null()) else {
        return Ok(());
    };
    let Some(containers) = containers.as_array() else {
        return Err(conflict("spec.containers", "write a list of containers, each with a name"));
    };
    for (index, container) in containers.iter().enumerate() {
        check_container(&format!("spec.containers[{index}]"), container)?;
    }
    Ok(())
}

fn check_container(path: &str, container: &Value) -> Result<(), Refusal> {
    let Some(name) = container["name"].as_str() else {
        return Err(conflict(path, format_args!("write its name (the app's own container is {APP_CONTAINER:?})")));
    };
    if name != APP_CONTAINER {
        return Ok(());
    }
    for (field, remedy) in OWN_FIELDS {
        if container.get(field).is_some() {
            return Err(conflict(format!("{path}.{field}"), remedy));
        }
    }
    let own = |variable: &Value| variable["name"].as_str().is_some_and(|name| name.starts_with(OWN_VARIABLES));
    if container["env"].as_array().is_some_and(|variables| variables.iter().any(own)) {
        return Err(conflict(format!("{path}.env"), "names with PERIGEE_ are the operator's: write spec.actors[].env"));
    }
    Ok(())
}

fn conflict(path: impl Into<String>, remedy: impl std::fmt::Display) -> Refusal {
    Refusal::PodTemplate { path: path.into(), remedy: remedy.to_string() }
}

/// Merges a checked template over a rendered one.
pub(super) fn merge(rendered: &mut Value, template: &PodTemplate) {
    let over = serde_json::to_value(template).expect("strings and JSON serialize");
    merge_value(rendered, &over);
}

fn merge_value(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => merge_object(base, over),
        (base, over) => *base = over.clone(),
    }
}

fn merge_object(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (field, value) in over {
        let key = MERGE_KEYS.iter().find(|(list, _)| list == field).map(|(_, key)| *key);
        match (base.get_mut(field), value, key) {
            (_, Value::Null, _) => {
                base.remove(field);
            }
            (Some(Value::Array(base)), Value::Array(over), Some(key)) => merge_list(base, over, key),
            (Some(base), over, _) => merge_value(base, over),
            (None, over, _) => {
                base.insert(field.clone(), over.clone());
            }
        }
    }
}

fn merge_list(base: &mut Vec<Value>, over: &[Value], key: &str) {
    for entry in over {
        match base.iter_mut().find(|own| !own[key].is_null() && own[key] == entry[key]) {
            Some(own) => merge_value(own, entry),
            None => base.push(entry.clone()),
        }
    }
}
