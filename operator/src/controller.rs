//! Which objects call for a reconciliation: the ActorApp itself, what was made for it, and its pods.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::core::NamespaceResourceScope;
use kube::runtime::controller::{Config, Error};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::context::Context;
use crate::metrics::Metrics;
use crate::reconcile::{Guarded, on_error, reconcile};
use crate::render::{APP_LABEL, managed_selector};

/// Wait for more changes before reconciling: a rollout changes a Deployment and its pods several times a second.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Objects reconciled at once. Each makes about five calls; the API server's own fairness does the rest.
const CONCURRENCY: u16 = 16;

/// Time for what has begun to end after a signal to stop: well within the 30 s that the kubelet gives.
const DRAIN: Duration = Duration::from_secs(10);

/// The controllers of all watched namespaces.
pub struct Controllers {
    context: Arc<Context>,
    running: Vec<Controller<Guarded>>,
    stores: Vec<Store<Guarded>>,
}

impl Controllers {
    /// One controller for each namespace; one for all of them when none is named.
    #[must_use]
    pub fn new(client: &Client, namespaces: &[String], shutdown: &CancellationToken) -> Self {
        let context = Arc::new(Context::new(client.clone()));
        let scopes: Vec<Option<&str>> = match namespaces {
            [] => vec![None],
            namespaces => namespaces.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        let running: Vec<_> = scopes.into_iter().map(|scope| controller(client, scope, shutdown)).collect();
        let stores = running.iter().map(Controller::store).collect();
        Self { context, running, stores }
    }

    /// The metrics that the controllers write.
    pub(crate) fn metrics(&self) -> MetricsReader {
        MetricsReader(self.context.clone())
    }

    /// Ends when every ActorApp was listed once.
    pub fn listed(&self) -> impl Future<Output = ()> + use<> {
        let stores = self.stores.clone();
        async move {
            join_all(stores.iter().map(Store::wait_until_ready)).await;
        }
    }

    /// Reconciles until shutdown; what has begun is brought to its end, for [`DRAIN`] at most.
    pub async fn run(self, shutdown: &CancellationToken) {
        let context = self.context;
        let running = self.running.into_iter();
        let drained = join_all(running.map(|controller| drain(controller.run(reconcile, on_error, context.clone()))));
        let stores = self.stores;
        let given_up = async {
            shutdown.cancelled().await;
            // A controller that has not listed its objects has begun nothing, and waits for the list even when told to
            // stop.
            if join_all(stores.iter().map(Store::wait_until_ready)).now_or_never().is_some() {
                tokio::time::sleep(DRAIN).await;
                warn!("stopped with reconciliations under way: the next operator repeats them");
            }
        };
        tokio::select! {
            _ = drained => {}
            () = given_up => {}
        }
    }
}

/// A handle that outlives the controllers.
#[derive(Clone)]
pub(crate) struct MetricsReader(Arc<Context>);

impl MetricsReader {
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }
}

fn controller(client: &Client, namespace: Option<&str>, shutdown: &CancellationToken) -> Controller<Guarded> {
    let ours = watcher::Config::default().labels(&managed_selector());
    Controller::new(api(client, namespace), watcher::Config::default())
        .owns(api::<Deployment>(client, namespace), ours.clone())
        .owns(api::<Service>(client, namespace), ours.clone())
        .watches(api::<Pod>(client, namespace), ours, |pod| app_of(&pod))
        .with_config(Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The ActorApp of a pod, by its label: a pod's owner is a ReplicaSet, which we do not watch.
fn app_of(pod: &Pod) -> Option<ObjectRef<Guarded>> {
    let name = pod.labels().get(APP_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}

async fn drain<S>(results: S)
where
    S: Stream<
        Item = Result<
            (ObjectRef<Guarded>, kube::runtime::controller::Action),
            Error<crate::error::ReconcileError, watcher::Error>,
        >,
    >,
{
    let mut results = std::pin::pin!(results);
    while let Some(result) = results.next().await {
        match result {
            Ok((object, action)) => debug!(%object, ?action, "reconciled"),
            // Deleted between the event and now; and failures are told by `on_error`.
            Err(Error::ObjectNotFound(_) | Error::ReconcilerFailed(..)) => {}
            Err(Error::QueueError(error)) => warn!("watching failed, trying again: {error}"),
            Err(Error::RunnerError(error)) => warn!("the controller's queue failed: {error}"),
        }
    }
}
