//! From the Rust types to the CustomResourceDefinition: the derived schema, the tables of [`super::rules`] laid over it,
//! and what the API server would warn about taken out.

use kube::CustomResourceExt;
use serde_json::{Map, Number, Value, json};

use super::ActorApp;
use super::rules::{BOUNDS, RULES};

/// The definition as YAML, as `kubectl apply` takes it.
///
/// # Panics
/// When a table names a field that the types do not have: the generator's check in CI runs into it, a cluster never does.
#[must_use]
pub fn crd_yaml() -> String {
    serde_yaml::to_string(&definition()).expect("a JSON value is a YAML value")
}

pub(super) fn definition() -> Value {
    let mut definition = serde_json::to_value(ActorApp::crd()).expect("a definition serializes");
    let schema = definition
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .expect("the derived definition has one version with a schema");
    tidy(schema);
    for (path, bounds) in BOUNDS {
        let field = field(schema, path);
        let bounds: Map<String, Value> = serde_json::from_str(bounds).expect("the table holds JSON objects");
        field.extend(bounds);
    }
    for rule in RULES {
        let entry = json!({ "rule": rule.rule, "message": rule.message });
        field(schema, rule.path)
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .expect("written by this loop")
            .push(entry);
    }
    definition
}

/// The schema of a field: `spec.actors[].limits`, where `[]` steps into the items of a list. Empty: the root.
fn field<'a>(schema: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let mut at = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches("[]");
        at = at.pointer_mut(&format!("/properties/{name}")).unwrap_or_else(|| panic!("{path}: no field {name}"));
        if step.ends_with("[]") {
            at = at.get_mut("items").unwrap_or_else(|| panic!("{path}: {name} is no list"));
        }
    }
    at.as_object_mut().expect("a schema is an object")
}

/// Takes out what the API server would warn about or what says nothing: formats that it does not know, empty defaults,
/// and `nullable` (an explicit null is dropped before defaults and rules see it, so that no rule meets one).
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.retain(|key, value| match key.as_str() {
                "format" => !value.as_str().is_some_and(|format| format.starts_with("uint")),
                "default" => !is_empty(value),
                "nullable" => !value.is_boolean(),
                // Sixty lines on the notation of quantities, for each place that has one.
                "description" => !value.as_str().is_some_and(|text| text.starts_with("Quantity is a fixed-point")),
                _ => true,
            });
            object.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        // Bounds of integers, which schemars gives as floating-point numbers.
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
        }
        _ => {}
    }
}

fn is_empty(default: &Value) -> bool {
    match default {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn whole(number: &Number) -> Option<Number> {
    let text = number.to_string();
    text.strip_suffix(".0")?.parse::<i64>().ok().map(Number::from)
}
