//! From an `ActorApp` to a checked plan: everything that rendering needs, with every rule of ours already held.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use perigee_spec::{AppSpec, MemoryBytes, SpecError, annotation};

use crate::crd::{ActorApp, AppPort, PodTemplate, PullPolicy, PullSecret};
use crate::render;
use crate::resources::resources;
use crate::status::Reason;

/// Pods when the ActorApp does not say. The CRD's default says the same; this one is for objects older than it.
const DEFAULT_REPLICAS: i32 = 1;

/// What is to be rolled out.
#[derive(Debug, Clone)]
pub(crate) struct AppPlan {
    /// Name of the ActorApp and of all that is made for it.
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// The ActorApp as owner: its children are deleted with it, by Kubernetes.
    pub(crate) owner: OwnerReference,
    pub(crate) replicas: i32,
    pub(crate) image: String,
    pub(crate) image_pull_policy: Option<PullPolicy>,
    pub(crate) image_pull_secrets: Vec<PullSecret>,
    pub(crate) app: AppSpec,
    /// `app` as the annotation's value.
    pub(crate) annotation: String,
    pub(crate) ports: Vec<AppPort>,
    pub(crate) resources: ResourceRequirements,
    pub(crate) pod_template: PodTemplate,
}

/// Why an ActorApp is not rolled out. What ran before goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A rule of the specification is broken, or a field does not read.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The API server gave an object that is no ActorApp, and no rule of ours says where.
    #[error("the object does not read: {0}")]
    Unreadable(String),
    #[error("spec.resources.{list}.memory: {text:?} is no amount of memory: write one such as \"512Mi\"")]
    NoQuantity { list: &'static str, text: String },
    #[error(
        "the actors do not fit: {sum} = {total}, but resources.limits.memory is {limit}: raise it, or lower instances or limits.memory of a class"
    )]
    MemoryDoesNotFit { sum: String, total: MemoryBytes, limit: MemoryBytes },
    /// The pod template sets what the operator has to.
    #[error("spec.podTemplate.{path}: {remedy}")]
    PodTemplate { path: String, remedy: String },
    /// An object of the app's name is not ours.
    #[error("{kind} {name} exists and does not belong to this ActorApp: delete it, or give the ActorApp another name")]
    NameTaken { kind: &'static str, name: String },
    /// The API server refused what was rendered.
    #[error("the API server refuses the {kind} {name}: {message}")]
    ApiServer { kind: &'static str, name: String, message: String },
}

impl Refusal {
    /// The reason of the condition, the event and the metric.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Spec(_) | Self::Unreadable(_) | Self::NoQuantity { .. } => Reason::InvalidSpec,
            Self::MemoryDoesNotFit { .. } => Reason::MemoryDoesNotFit,
            Self::PodTemplate { .. } => Reason::PodTemplateConflict,
            Self::NameTaken { .. } => Reason::NameTaken,
            Self::ApiServer { .. } => Reason::RefusedByApiServer,
        }
    }

    /// Whether only a change of the ActorApp helps; else something in the cluster may, and another try is worth it.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::NameTaken { .. } | Self::ApiServer { .. })
    }
}

/// Checks an ActorApp.
pub(crate) fn plan(object: &ActorApp) -> Result<AppPlan, Refusal> {
    let spec = &object.spec;
    let name = object.name_any();
    let app = AppSpec::new(&name, spec.actors.clone(), "spec.actors")?.with_strategy(spec.strategy);
    let annotation = annotation::encode(&app)?;
    let resources = resources(&app, spec.resources.as_ref())?;
    let pod_template = spec.pod_template.clone().unwrap_or_default();
    render::check_pod_template(&pod_template)?;
    let owner = object.controller_owner_ref(&()).ok_or_else(|| Refusal::Unreadable("it has no uid".to_owned()))?;
    Ok(AppPlan {
        namespace: object.namespace().unwrap_or_default(),
        owner,
        replicas: spec.replicas.unwrap_or(DEFAULT_REPLICAS),
        image: spec.image.clone(),
        image_pull_policy: spec.image_pull_policy,
        image_pull_secrets: spec.image_pull_secrets.clone(),
        ports: spec.ports.clone(),
        name,
        app,
        annotation,
        resources,
        pod_template,
    })
}
