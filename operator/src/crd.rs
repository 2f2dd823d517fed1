//! The resource as the API server keeps it. What an actor class is comes from `perigee-spec`, so that `perigee run` and
//! the cluster read the same fields; what only a cluster uses is typed here.
//!
//! Types give the shape; [`schema`] adds the bounds and rules that types cannot say.
#![expect(clippy::duplicated_attributes, reason = "it takes the columns of the derive for one list of attributes")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use perigee_spec::{ActorClass, Strategy};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

mod rules;
mod schema;

pub use schema::crd_yaml;

/// An app of actors, run as pods.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "perigee.dev",
    version = "v1alpha1",
    kind = "ActorApp",
    plural = "actorapps",
    shortname = "aapp",
    namespaced,
    derive = "PartialEq",
    status = "ActorAppStatus",
    doc = "An app of WebAssembly actors: what runs, with which limits and permissions, in how many pods.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas", description = "Pods that are ready"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas", description = "Pods that are wanted"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.reason",
        description = "The state in one word; the conditions say more"
    ),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image", priority = 1)
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActorAppSpec {
    /// OCI image or Wasm artifact with the modules.
    pub image: String,
    /// When the kubelet pulls it. Absent: Always for the tag latest, else IfNotPresent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets in the app's namespace with credentials for the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<PullSecret>,
    /// Pods. `kubectl scale`, a HorizontalPodAutoscaler or KEDA write it through /scale; 0 stops the app.
    #[serde(default = "one", skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Classes of actors: what may run, with what, and how it is restarted.
    pub actors: Vec<ActorClass>,
    /// Which declared actors are started again with one that is: OneForOne (it alone), RestForOne (and those declared
    /// after it) or OneForAll.
    #[serde(default)]
    pub strategy: Strategy,
    /// Ports that the app listens on. A Service of the app's name is made when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<AppPort>,
    /// Requests and limits of each pod's app container. What is absent is derived from the actors' limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Merged over the pod that the operator renders: nodeSelector, tolerations, sidecars, volumes, probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// In the schema, not only in the operator: an object without the field has no /scale (the API server answers 500), and
/// so no autoscaler. Applying a manifest without it again leaves what an autoscaler wrote, by either way of applying.
const fn one() -> Option<i32> {
    Some(1)
}

/// When the kubelet pulls an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Before each start.
    Always,
    /// When the node has none of that name.
    IfNotPresent,
    /// Never: the node has it, or the pod fails.
    Never,
}

/// A Secret with a registry's credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullSecret {
    /// Name of the Secret.
    pub name: String,
}

/// A port that the app listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppPort {
    /// Name, as a probe or an Ingress refers to it.
    pub name: String,
    /// Port in the pod.
    pub container_port: u16,
    /// Port of the Service. Absent: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_port: Option<u16>,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// The default.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// Datagrams.
    #[serde(rename = "UDP")]
    Udp,
}

/// What is merged over the rendered pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTemplate {
    /// Labels and annotations of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodTemplateMetadata>,
    /// A part of a PodSpec. Lists with named entries (containers, volumes, env, ...) are merged by name, the app's own
    /// container is named app; other lists replace. The API server checks the merged pod, so that an unknown key there
    /// shows up in the condition Accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub spec: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Labels and annotations of the pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTemplateMetadata {
    /// Labels, beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, beside perigee.dev/app.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The one open place of the schema: a PodSpec of the API server's own version, whose fields we do not copy.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// What the operator saw last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorAppStatus {
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state in one word: the reason of the condition that matters most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Accepted, Available, Progressing, Degraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Pods that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Pods that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Pods of the latest accepted spec.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Label selector of the pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

#[cfg(test)]
mod tests;
