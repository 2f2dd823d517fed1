//! What the status says, from what was decided and what was seen. Pure: the same sight gives the same status, so that
//! the operator writes one only when something changed.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::crd::ActorAppStatus;
use crate::plan::Refusal;
use crate::render::selector;

mod pods;
mod reason;

pub(crate) use reason::Reason;

/// Longest message of a condition, in characters. The API server takes 32768; a termination message alone may have 4096
/// bytes, and `kubectl describe` should stay readable.
const MAX_MESSAGE_CHARS: usize = 1024;

/// What one reconciliation knows.
pub(crate) struct Sight<'a> {
    pub(crate) name: &'a str,
    /// `metadata.generation` of the ActorApp.
    pub(crate) generation: Option<i64>,
    /// Why the spec was not rolled out, if it was not.
    pub(crate) refusal: Option<&'a Refusal>,
    /// The Deployment as it is now; of an earlier spec when this one was refused.
    pub(crate) deployment: Option<&'a Deployment>,
    /// Its pods. May be left empty when all of them are available.
    pub(crate) pods: &'a [Pod],
}

/// A condition without its bookkeeping.
struct Finding {
    type_: &'static str,
    holds: bool,
    reason: Reason,
    message: String,
}

/// The status after this sight. `previous` gives the times of conditions that did not change.
pub(crate) fn observe(sight: &Sight<'_>, previous: Option<&ActorAppStatus>, now: &Time) -> ActorAppStatus {
    let counts = Counts::of(sight.deployment);
    let accepted = accepted(sight);
    let available = available(sight, &counts);
    let progressing = progressing(sight, &counts);
    let degraded = degraded(sight, &counts);
    let summary = summary(&accepted, &available, &progressing, &degraded);
    let known = previous.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let conditions = [accepted, available, progressing, degraded].into_iter();
    ActorAppStatus {
        observed_generation: sight.generation,
        reason: Some(summary.to_string()),
        conditions: conditions.map(|finding| condition(finding, sight.generation, known, now)).collect(),
        replicas: counts.total,
        ready_replicas: counts.ready,
        updated_replicas: counts.updated,
        selector: Some(selector(sight.name)),
    }
}

/// The one reason that a reader wants first: what stops the app, then what hurts it, then what it is doing.
fn summary(accepted: &Finding, available: &Finding, progressing: &Finding, degraded: &Finding) -> Reason {
    if !accepted.holds {
        accepted.reason
    } else if degraded.holds {
        degraded.reason
    } else if progressing.holds {
        progressing.reason
    } else {
        available.reason
    }
}

/// Numbers of pods, and what the Deployment's controller says of them.
#[derive(Default)]
struct Counts {
    wanted: i32,
    total: i32,
    ready: i32,
    updated: i32,
    available: i32,
    /// The Deployment's controller has not seen its latest spec.
    stale: bool,
    /// It has not finished the rollout of that spec.
    unfinished: bool,
    stuck: Option<String>,
    refused_pods: Option<String>,
    is_available: bool,
}

impl Counts {
    fn of(deployment: Option<&Deployment>) -> Self {
        let Some(deployment) = deployment else { return Self::default() };
        let status = deployment.status.clone().unwrap_or_default();
        let condition = |type_: &str| deployment_condition(&status, type_);
        let message = |(_, _, message): (String, String, String)| message;
        let progressing = condition("Progressing");
        Self {
            wanted: deployment.spec.replicas.unwrap_or(1),
            total: status.replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            stale: status.observed_generation < deployment.metadata.generation,
            unfinished: progressing.as_ref().is_none_or(|(_, reason, _)| reason != "NewReplicaSetAvailable"),
            stuck: progressing.filter(|(_, reason, _)| reason == "ProgressDeadlineExceeded").map(message),
            refused_pods: condition("ReplicaFailure").filter(|(holds, ..)| holds == "True").map(message),
            is_available: condition("Available").is_some_and(|(holds, ..)| holds == "True"),
        }
    }

    fn is_rolling_out(&self) -> bool {
        self.stale || self.unfinished || self.updated < self.wanted || self.total > self.updated
    }
}

/// Status, reason and message of a Deployment's condition.
fn deployment_condition(status: &DeploymentStatus, type_: &str) -> Option<(String, String, String)> {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some(type_))?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some((text(&condition.status), text(&condition.reason), text(&condition.message)))
}

/// Whether every wanted pod is there, of the latest spec, and available: nothing to look for in the pods.
pub(crate) fn is_all_well(deployment: &Deployment) -> bool {
    let counts = Counts::of(Some(deployment));
    !counts.is_rolling_out() && counts.available >= counts.wanted && counts.refused_pods.is_none()
}

fn accepted(sight: &Sight<'_>) -> Finding {
    let (holds, reason, message) = match sight.refusal {
        None => (true, Reason::Accepted, "the spec is valid and rolled out".to_owned()),
        Some(refusal) => (false, refusal.reason(), refusal.to_string()),
    };
    Finding { type_: "Accepted", holds, reason, message }
}

fn available(sight: &Sight<'_>, counts: &Counts) -> Finding {
    let (holds, reason, message) = match sight.deployment {
        None => (false, Reason::NotRolledOut, "no spec of this app was rolled out yet".to_owned()),
        Some(_) if counts.wanted == 0 => (true, Reason::ScaledToZero, "spec.replicas is 0".to_owned()),
        Some(_) => {
            let mut message = format!("{} of {} pods are available", counts.available, counts.wanted);
            if let Some(trouble) = pods::worst(sight.pods).filter(|_| !counts.is_available) {
                message += &format!("; {}", trouble.message);
            }
            (counts.is_available, if counts.is_available { Reason::Available } else { Reason::PodsNotReady }, message)
        }
    };
    Finding { type_: "Available", holds, reason, message }
}

fn progressing(sight: &Sight<'_>, counts: &Counts) -> Finding {
    let (holds, reason, message) = if sight.deployment.is_none() {
        (false, Reason::NotRolledOut, "no spec of this app was rolled out yet".to_owned())
    } else if let Some(stuck) = &counts.stuck {
        (false, Reason::RolloutStuck, stuck.clone())
    } else if counts.is_rolling_out() {
        (true, Reason::RollingOut, format!("{} of {} pods are of the latest spec", counts.updated, counts.wanted))
    } else {
        (false, Reason::RolledOut, "all pods are of the latest spec".to_owned())
    };
    Finding { type_: "Progressing", holds, reason, message }
}

fn degraded(sight: &Sight<'_>, counts: &Counts) -> Finding {
    let found = pods::worst(sight.pods).map(|trouble| (trouble.reason, trouble.message));
    let found = found.or_else(|| counts.refused_pods.clone().map(|message| (Reason::PodsRefused, message)));
    let found = found.or_else(|| counts.stuck.clone().map(|message| (Reason::RolloutStuck, message)));
    let (holds, (reason, message)) = match found {
        Some(found) => (true, found),
        None => (false, (Reason::AsExpected, "no pod reports a failure".to_owned())),
    };
    Finding { type_: "Degraded", holds, reason, message }
}

fn condition(finding: Finding, generation: Option<i64>, known: &[Condition], now: &Time) -> Condition {
    let status = if finding.holds { "True" } else { "False" };
    let before = known.iter().find(|known| known.type_ == finding.type_ && known.status == status);
    Condition {
        type_: finding.type_.to_owned(),
        status: status.to_owned(),
        reason: finding.reason.to_string(),
        message: finding.message.chars().take(MAX_MESSAGE_CHARS).collect(),
        observed_generation: generation,
        last_transition_time: before.map_or_else(|| now.clone(), |before| before.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests;
