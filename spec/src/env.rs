//! Environment variables of an actor. A value from the cluster is resolved by the kubelet, never by us: the operator
//! gives the container a variable of its own for it, and the worker hands that one to the actor.

use serde::{Deserialize, Serialize};

use crate::{ClassName, SpecError};

/// One environment variable of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnvVar {
    /// Name, as the actor sees it.
    pub name: String,
    /// The value itself. Empty when neither this nor `valueFrom` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the cluster takes the value from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvSource>,
}

/// Where a value comes from: exactly one of the fields is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnvSource {
    /// A key of a Secret in the app's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// A key of a ConfigMap in the app's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// A field of the pod, such as metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key in it.
    pub key: String,
    /// Whether the pod starts without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A key of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap.
    pub name: String,
    /// Key in it.
    pub key: String,
    /// Whether the pod starts without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A field of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FieldRef {
    /// Path of the field, such as metadata.name.
    pub field_path: String,
}

/// The container's variable that carries the value of an actor's variable with a `valueFrom`.
///
/// Class names have no underscore and stand here as they are (with dashes, which Kubernetes allows in names of
/// variables), so that no two pairs of class and name share one: else an actor would get another class's secret.
#[must_use]
pub fn container_variable(class: &ClassName, name: &str) -> String {
    format!("PERIGEE_{class}_{name}")
}

impl EnvVar {
    pub(crate) fn validate(&self, path: &str) -> Result<(), SpecError> {
        if self.name.is_empty() || self.name.contains(['=', '\0']) {
            return Err(SpecError::field(
                format!("{path}.name"),
                format_args!("{:?} is no name of a variable: write one such as \"LOG\"", self.name),
            ));
        }
        if self.value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err(SpecError::field(format!("{path}.value"), "a value has no NUL byte"));
        }
        let Some(source) = &self.value_from else { return Ok(()) };
        let given = usize::from(source.secret_key_ref.is_some())
            + usize::from(source.config_map_key_ref.is_some())
            + usize::from(source.field_ref.is_some());
        if given != 1 {
            return Err(SpecError::field(
                format!("{path}.valueFrom"),
                "write exactly one of secretKeyRef, configMapKeyRef, fieldRef",
            ));
        }
        if self.value.is_some() {
            return Err(SpecError::field(path, "has both `value` and `valueFrom`: leave one out"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_classes_share_a_variable_of_the_container() {
        let variable = |class: &str, name| container_variable(&class.parse().unwrap(), name);
        assert_eq!(variable("web", "TOKEN"), "PERIGEE_web_TOKEN");
        assert_ne!(variable("a-b", "C"), variable("a", "B_C"));
        assert_ne!(variable("a-b", "C"), variable("a", "b_C"));
    }
}
