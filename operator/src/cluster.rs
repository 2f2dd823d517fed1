//! Every call to the API server that a reconciliation makes.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, Preconditions, ValidationDirective,
};
use kube::core::{DeserializeGuard, NamespaceResourceScope, Status};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::MANAGER;
use crate::crd::{ActorApp, ActorAppStatus};
use crate::error::ReconcileError;
use crate::plan::{AppPlan, Refusal};
use crate::render::{self, selector};

/// The API server's reason for creating nothing more in a namespace that is being deleted
/// (`NamespaceTerminatingCause` in k8s.io/api/core/v1).
const NAMESPACE_ENDS: &str = "NamespaceTerminating";

/// Why a rollout stopped: the spec's fault, which the status tells, or the cluster's, which is tried again.
pub(crate) enum Stop {
    Refused(Refusal),
    Failed(ReconcileError),
    /// The namespace is being deleted, and the ActorApp with it: nobody is left to be told.
    NamespaceEnds,
}

impl From<ReconcileError> for Stop {
    fn from(error: ReconcileError) -> Self {
        Self::Failed(error)
    }
}

/// The objects of one ActorApp.
pub(crate) struct Cluster<'a> {
    pub(crate) client: Client,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl Cluster<'_> {
    /// Applies the plan and takes away what it no longer has. Nothing is written unless all names are free or ours.
    pub(crate) async fn roll_out(&self, plan: &AppPlan) -> Result<Deployment, Stop> {
        let owner = Some(plan.owner.uid.as_str());
        let deployment = self.get::<Deployment>("Deployment").await?;
        if deployment.as_ref().is_some_and(|deployment| !belongs_to(&deployment.metadata, owner)) {
            return Err(self.taken("Deployment"));
        }
        let service = self.get::<Service>("Service").await?;
        let own_service = service.as_ref().filter(|service| belongs_to(&service.metadata, owner));
        match (render::service(plan), own_service) {
            (Some(_), None) if service.is_some() => return Err(self.taken("Service")),
            (Some(wanted), _) => {
                let deployment = self.apply("Deployment", &render::deployment(plan)).await?;
                self.apply::<Service>("Service", &wanted).await?;
                return Ok(deployment);
            }
            (None, Some(own)) => self.delete("Service", own).await?,
            (None, None) => {}
        }
        self.apply("Deployment", &render::deployment(plan)).await
    }

    /// The Deployment of an app whose latest spec is not rolled out, if it is that app's.
    pub(crate) async fn own_deployment(&self, uid: Option<&str>) -> Result<Option<Deployment>, ReconcileError> {
        let deployment = self.get::<Deployment>("Deployment").await?;
        Ok(deployment.filter(|deployment| belongs_to(&deployment.metadata, uid)))
    }

    /// The app's pods, as the API server's cache has them: the event that called for this is in it.
    pub(crate) async fn pods(&self) -> Result<Vec<Pod>, ReconcileError> {
        let params = ListParams::default().labels(&selector(self.name)).match_any();
        let pods = self.api::<Pod>().list(&params).await.map_err(|source| self.failed("list", "Pod", source))?;
        Ok(pods.items)
    }

    /// The ActorApp as JSON, for one that does not read as the type.
    pub(crate) async fn raw_app(&self) -> Result<Option<DynamicObject>, ReconcileError> {
        let resource = kube::core::ApiResource::erase::<ActorApp>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        api.get_opt(self.name).await.map_err(|source| self.failed("read", "ActorApp", source))
    }

    /// Writes the status, and nothing of it that others own.
    pub(crate) async fn write_status(&self, status: &ActorAppStatus) -> Result<(), ReconcileError> {
        let patch = json!({
            "apiVersion": ActorApp::api_version(&()),
            "kind": ActorApp::kind(&()),
            "metadata": { "name": self.name },
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        self.api::<DeserializeGuard<ActorApp>>()
            .patch_status(self.name, &params, &Patch::Apply(&patch))
            .await
            .map(drop)
            .map_err(|source| self.failed("write the status of", "ActorApp", source))
    }

    async fn get<K>(&self, kind: &'static str) -> Result<Option<K>, ReconcileError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        self.api::<K>().get_opt(self.name).await.map_err(|source| self.failed("read", kind, source))
    }

    /// Server-side apply. Forced: a field that we render is ours. Strict: a field of the pod template that the API
    /// server does not know is refused, not dropped.
    async fn apply<K>(&self, kind: &'static str, object: &Value) -> Result<K, Stop>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let params = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(MANAGER).force() };
        match self.api::<K>().patch(self.name, &params, &Patch::Apply(object)).await {
            Ok(applied) => Ok(applied),
            Err(kube::Error::Api(status)) if namespace_ends(&status) => Err(Stop::NamespaceEnds),
            Err(kube::Error::Api(status)) if is_refusal(&status) => {
                Err(Stop::Refused(Refusal::ApiServer { kind, name: self.name.to_owned(), message: status.message }))
            }
            Err(source) => Err(self.failed("apply", kind, source).into()),
        }
    }

    /// Deletes this very object: not one of the same name that came after it.
    async fn delete(&self, kind: &'static str, object: &Service) -> Result<(), ReconcileError> {
        let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.api::<Service>().delete(self.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(self.failed("delete", kind, source)),
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    fn taken(&self, kind: &'static str) -> Stop {
        Stop::Refused(Refusal::NameTaken { kind, name: self.name.to_owned() })
    }

    fn failed(&self, operation: &'static str, kind: &'static str, source: kube::Error) -> ReconcileError {
        let (namespace, name) = (self.namespace.to_owned(), self.name.to_owned());
        ReconcileError::Api { operation, kind, namespace, name, source: Box::new(source) }
    }
}

fn namespace_ends(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_forbidden() && causes.into_iter().any(|cause| cause.reason == NAMESPACE_ENDS)
}

/// Whether the answer is about the object and not about the API server: invalid, strictly seen unknown, or not admitted.
/// A server-side apply with a field that is not in the schema is answered as an internal error, told by its text alone.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 400 | 403 | 422) || status.message.starts_with("failed to create typed patch object")
}

fn belongs_to(metadata: &ObjectMeta, owner_uid: Option<&str>) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| Some(owner.uid.as_str()) == owner_uid)
}
