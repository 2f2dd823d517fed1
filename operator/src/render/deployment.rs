//! The Deployment whose pods run the actors.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapKeySelector, Container, ContainerPort, EnvVar, EnvVarSource, LocalObjectReference,
    ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, SecretKeySelector, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ObjectMeta;
use perigee_spec::{APP_CONTAINER, EnvSource, RUNTIME_CLASS, annotation, container_variable};
use serde_json::Value;

use super::{labels, metadata, pod_template, selector_labels};
use crate::crd::{AppPort, Protocol, PullPolicy};
use crate::plan::AppPlan;

/// Never run: the shim starts the worker in its place. The kubelet's runtime interface refuses a container of which
/// neither the image nor the pod names a command, and an image of Wasm modules names none.
const PLACEHOLDER_COMMAND: &str = "/.perigee/app";
/// What Kubernetes gives a pod to end by itself, when nobody says (`DefaultTerminationGracePeriodSeconds`).
const DEFAULT_GRACE_SECONDS: u64 = 30;
/// Part of it that the worker needs to kill what is left, write its last lines and leave.
const GRACE_MARGIN_SECONDS: u64 = 2;

/// The Deployment, as JSON: the pod template's own fields stay in it as they were written, for the API server to check.
pub(crate) fn deployment(plan: &AppPlan) -> Value {
    let deployment = Deployment {
        metadata: metadata(plan),
        spec: DeploymentSpec {
            replicas: Some(plan.replicas),
            selector: LabelSelector { match_labels: Some(selector_labels(plan)), ..LabelSelector::default() },
            template: template(plan),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    };
    let mut deployment = serde_json::to_value(deployment).expect("a Deployment serializes");
    pod_template::merge(&mut deployment["spec"]["template"], &plan.pod_template);
    deployment
}

fn template(plan: &AppPlan) -> PodTemplateSpec {
    // A change of the annotation (a permission, a limit) is a change of the template, so it rolls out by itself.
    let annotations = BTreeMap::from([
        (annotation::KEY.to_owned(), plan.annotation.clone()),
        (annotation::GRACE_KEY.to_owned(), grace_seconds(plan).to_string()),
    ]);
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels(plan)), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(pod(plan)),
    }
}

/// What actors get of the pod's `terminationGracePeriodSeconds`.
fn grace_seconds(plan: &AppPlan) -> u64 {
    let spec = plan.pod_template.spec.as_ref();
    let period = spec.and_then(|spec| spec.get("terminationGracePeriodSeconds")).and_then(Value::as_u64);
    period.unwrap_or(DEFAULT_GRACE_SECONDS).saturating_sub(GRACE_MARGIN_SECONDS)
}

fn pod(plan: &AppPlan) -> PodSpec {
    let secrets = plan.image_pull_secrets.iter().map(|secret| LocalObjectReference { name: secret.name.clone() });
    PodSpec {
        runtime_class_name: Some(RUNTIME_CLASS.to_owned()),
        // An actor has no way to the API server; who gives it one by a sidecar says so in the pod template.
        automount_service_account_token: Some(false),
        // Variables of other Services, which no actor sees, and which slow a start down in a large namespace.
        enable_service_links: Some(false),
        image_pull_secrets: Some(secrets.collect::<Vec<_>>()).filter(|secrets| !secrets.is_empty()),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(plan)],
        ..PodSpec::default()
    }
}

fn container(plan: &AppPlan) -> Container {
    Container {
        name: APP_CONTAINER.to_owned(),
        image: Some(plan.image.clone()),
        image_pull_policy: plan.image_pull_policy.map(|policy| pull_policy(policy).to_owned()),
        command: Some(vec![PLACEHOLDER_COMMAND.to_owned()]),
        env: Some(variables(plan)).filter(|variables| !variables.is_empty()),
        ports: Some(plan.ports.iter().map(container_port).collect::<Vec<_>>()).filter(|ports| !ports.is_empty()),
        resources: Some(plan.resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        // A worker that dies before it can say why has at least its last lines of log shown in the status.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn container_port(port: &AppPort) -> ContainerPort {
    ContainerPort {
        name: Some(port.name.clone()),
        container_port: i32::from(port.container_port),
        protocol: Some(protocol(port.protocol).to_owned()),
        ..ContainerPort::default()
    }
}

/// Values from the cluster: the kubelet resolves them into variables of the container, from where the worker hands each
/// to the actors of its class.
fn variables(plan: &AppPlan) -> Vec<EnvVar> {
    let mut variables = Vec::new();
    for class in plan.app.actors() {
        for variable in &class.env {
            let Some(source) = &variable.value_from else { continue };
            variables.push(EnvVar {
                name: container_variable(&class.name, &variable.name),
                value_from: Some(env_source(source)),
                ..EnvVar::default()
            });
        }
    }
    variables
}

fn env_source(source: &EnvSource) -> EnvVarSource {
    EnvVarSource {
        secret_key_ref: source.secret_key_ref.as_ref().map(|secret| SecretKeySelector {
            name: secret.name.clone(),
            key: secret.key.clone(),
            optional: secret.optional,
        }),
        config_map_key_ref: source.config_map_key_ref.as_ref().map(|map| ConfigMapKeySelector {
            name: map.name.clone(),
            key: map.key.clone(),
            optional: map.optional,
        }),
        field_ref: source
            .field_ref
            .as_ref()
            .map(|field| ObjectFieldSelector { field_path: field.field_path.clone(), api_version: None }),
        ..EnvVarSource::default()
    }
}

const fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

pub(super) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}
