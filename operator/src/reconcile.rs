//! One reconciliation: plan, roll out, look, tell. Every step may be repeated; nothing is kept between two of them but
//! the count of failures.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Resource, ResourceExt};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::MANAGER;
use crate::cluster::{Cluster, Stop};
use crate::context::Context;
use crate::crd::{ActorApp, ActorAppStatus};
use crate::error::ReconcileError;
use crate::metrics::Outcome;
use crate::plan::{Refusal, plan};
use crate::status::{Sight, is_all_well, observe};

pub(crate) type Guarded = DeserializeGuard<ActorApp>;

/// Pause before a refusal is tried again that something else than the ActorApp may end: a quota, a name that is freed.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// Longest note of an event, in bytes: the API server's limit is 1024.
const MAX_NOTE_BYTES: usize = 1000;

/// Failures in a row after which the status tells of them: fewer are a restart of the API server, more are a webhook that
/// does not answer or a range of addresses that is full, and somebody waits for the app.
const TOLD_AFTER: u32 = 3;

/// What became of the spec.
struct Verdict {
    refusal: Option<Refusal>,
    deployment: Option<Deployment>,
    /// The failure that the refusal tells of, to be tried again as any.
    failure: Option<ReconcileError>,
}

pub(crate) async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let started = Instant::now();
    let result = reconcile_object(&object, &context).await;
    let outcome = match &result {
        Ok(None) => Outcome::Applied,
        Ok(Some(_)) => Outcome::Refused,
        Err(_) => Outcome::Failed,
    };
    context.metrics.reconciled(outcome, started.elapsed());
    let refusal = result?;
    context.forget_failures(&key(&object));
    Ok(match refusal {
        Some(refusal) if !refusal.is_final() => Action::requeue(REFUSED_PAUSE),
        _ => Action::await_change(),
    })
}

/// Says once what failed, and when it is tried again.
pub(crate) fn on_error(object: Arc<Guarded>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let failures = context.count_failure(key(&object));
    let pause = error.pause(failures);
    context.metrics.failed(error.reason());
    warn!(reason = error.reason(), failures, ?pause, "{error}: {}", error.cause());
    Action::requeue(pause)
}

fn key(object: &Guarded) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

async fn reconcile_object(object: &Guarded, context: &Context) -> Result<Option<Refusal>, ReconcileError> {
    if object.meta().deletion_timestamp.is_some() {
        // What was made for it is deleted by its owner references.
        return Ok(None);
    }
    let (namespace, name) = key(object);
    let cluster = Cluster { client: context.client.clone(), namespace: &namespace, name: &name };
    let (verdict, previous) = match &object.0 {
        Ok(app) => match roll_out(&cluster, app, context.failures(&key(object))).await? {
            Some(verdict) => (verdict, app.status.clone()),
            None => return Ok(None),
        },
        Err(invalid) => refuse_unreadable(&cluster, invalid).await?,
    };
    let pods = match &verdict.deployment {
        Some(deployment) if !is_all_well(deployment) => cluster.pods().await?,
        _ => Vec::new(),
    };
    let sight = Sight {
        name: &name,
        generation: object.meta().generation,
        refusal: verdict.refusal.as_ref(),
        deployment: verdict.deployment.as_ref(),
        pods: &pods,
    };
    let status = observe(&sight, previous.as_ref(), &Time(Timestamp::now()));
    if previous.as_ref() != Some(&status) {
        cluster.write_status(&status).await?;
        info!(reason = status.reason, "status changed");
        publish(object, context, &changes(previous.as_ref(), &status)).await;
    }
    verdict.failure.map_or(Ok(verdict.refusal), Err)
}

/// Rolls a spec out. `None`: its namespace is being deleted, and there is nothing left to do.
async fn roll_out(cluster: &Cluster<'_>, app: &ActorApp, failures: u32) -> Result<Option<Verdict>, ReconcileError> {
    let stopped = match plan(app) {
        Ok(plan) => cluster.roll_out(&plan).await,
        Err(refusal) => Err(Stop::Refused(refusal)),
    };
    let (refusal, failure) = match stopped {
        Ok(deployment) => return Ok(Some(Verdict { refusal: None, deployment: Some(deployment), failure: None })),
        Err(Stop::NamespaceEnds) => return Ok(None),
        Err(Stop::Refused(refusal)) => (refusal, None),
        Err(Stop::Failed(error)) if failures < TOLD_AFTER => return Err(error),
        Err(Stop::Failed(error)) => (error.as_refusal(), Some(error)),
    };
    let deployment = cluster.own_deployment(app.uid().as_deref()).await?;
    Ok(Some(Verdict { refusal: Some(refusal), deployment, failure }))
}

/// An object that the schema let through and our types do not read, such as an address that only looks like one.
async fn refuse_unreadable(
    cluster: &Cluster<'_>,
    invalid: &InvalidObject,
) -> Result<(Verdict, Option<ActorAppStatus>), ReconcileError> {
    let mut previous = None;
    let mut refusal = Refusal::Unreadable(invalid.error.clone());
    if let Some(raw) = cluster.raw_app().await? {
        let mut json = serde_json::to_value(&raw).expect("it came as JSON");
        let status = json.as_object_mut().and_then(|object| object.remove("status"));
        previous = status.and_then(|status| serde_json::from_value(status).ok());
        // The watch only says what is wrong; reading it again as a manifest says where.
        if let Err(error) = perigee_spec::Manifest::parse(json) {
            refusal = Refusal::Spec(error);
        }
    }
    let deployment = cluster.own_deployment(invalid.metadata.uid.as_deref()).await?;
    Ok((Verdict { refusal: Some(refusal), deployment, failure: None }, previous))
}

/// The events that a change of the status is worth. Messages of a degraded app change with its pods: those stay in the
/// status, so that a large app in trouble does not flood the events.
fn changes(previous: Option<&ActorAppStatus>, status: &ActorAppStatus) -> Vec<Event> {
    let before = |type_: &str| previous?.conditions.iter().find(|condition| condition.type_ == type_);
    let mut events = Vec::new();
    for condition in &status.conditions {
        let known = before(&condition.type_);
        let same_reason = known.is_some_and(|known| known.reason == condition.reason);
        let same_message = known.is_some_and(|known| known.message == condition.message);
        let (type_, worth) = match (condition.type_.as_str(), condition.status.as_str()) {
            ("Accepted", "False") => (EventType::Warning, !same_reason || !same_message),
            ("Accepted", _) => (EventType::Normal, !same_reason),
            ("Degraded", "True") => (EventType::Warning, !same_reason),
            _ => continue,
        };
        if worth {
            events.push(event(type_, &condition.reason, &condition.message));
        }
    }
    events
}

fn event(type_: EventType, reason: &str, message: &str) -> Event {
    let note = match message.char_indices().find(|(at, c)| at + c.len_utf8() > MAX_NOTE_BYTES) {
        Some((end, _)) => message.split_at(end).0,
        None => message,
    };
    Event { type_, reason: reason.to_owned(), note: Some(note.to_owned()), action: "Reconcile".to_owned(), secondary: None }
}

/// An event that is lost is no reason to reconcile again: the status says the same.
async fn publish(object: &Guarded, context: &Context, events: &[Event]) {
    for event in events {
        // A recorder of its own: one that is kept gives a repeated reason the note of its first time.
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: None };
        let recorder = Recorder::new(context.client.clone(), reporter);
        if let Err(error) = recorder.publish(event, &object.object_ref(&())).await {
            warn!(reason = event.reason, "failed to publish an event: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
