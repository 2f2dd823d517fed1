//! What is wrong in a pod: which container, which actor, why. The worker writes the actor and its end into the
//! termination message; the kubelet tells why a container is not made.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use super::Reason;

/// What one pod suffers from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// The worst trouble, and how many other pods have one. Ordered, so that the same pods always give the same message.
pub(super) fn worst(pods: &[Pod]) -> Option<Trouble> {
    let mut troubles: Vec<Trouble> = pods.iter().filter_map(trouble).collect();
    troubles.sort();
    let others = troubles.len().saturating_sub(1);
    let mut worst = troubles.into_iter().next()?;
    if others > 0 {
        worst.message += &format!(" (and {others} more pods fail)");
    }
    Some(worst)
}

fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let condition = |type_: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
    if pod.metadata.deletion_timestamp.is_some() || condition("Ready").is_some_and(|ready| ready.status == "True") {
        return None;
    }
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    if let Some((reason, message)) = containers.filter_map(container_trouble).min() {
        return Some(Trouble { reason, message: format!("pod {name}: {message}") });
    }
    let scheduled = condition("PodScheduled").filter(|scheduled| scheduled.reason.as_deref() == Some("Unschedulable"))?;
    let message = scheduled.message.as_deref().unwrap_or("no node takes it");
    Some(Trouble { reason: Reason::Unschedulable, message: format!("pod {name}: {message}") })
}

fn container_trouble(container: &ContainerStatus) -> Option<(Reason, String)> {
    let name = &container.name;
    let state = container.state.as_ref();
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref())
        && let Some(reason) = waiting.reason.as_deref().and_then(waiting_reason)
    {
        let why = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or("the kubelet gives no message");
        return Some((reason, format!("container {name}: {why}: {message}")));
    }
    // Between two attempts the state goes from terminated to waiting to running: the last end is what stays the same.
    let ended = state.and_then(|state| state.terminated.as_ref());
    let ended = ended.or_else(|| container.last_state.as_ref().and_then(|state| state.terminated.as_ref()))?;
    if container.ready || ended.exit_code == 0 && container.restart_count == 0 {
        return None;
    }
    let reason = match ended.reason.as_deref() {
        Some("StartError" | "ContainerCannotRun") => Reason::ContainerNotCreated,
        _ => Reason::ActorsFailed,
    };
    Some((reason, format!("container {name}: {}", end(ended))))
}

fn waiting_reason(reason: &str) -> Option<Reason> {
    match reason {
        "CreateContainerError"
        | "CreateContainerConfigError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => Some(Reason::ContainerNotCreated),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Some(Reason::ImageNotPulled),
        _ => None,
    }
}

fn end(ended: &ContainerStateTerminated) -> String {
    let mut text = format!("exit code {}", ended.exit_code);
    if let Some(reason) = ended.reason.as_deref().filter(|reason| !matches!(*reason, "Error" | "Completed")) {
        text += &format!(" ({reason})");
    }
    match ended.message.as_deref().map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => text + ": " + message,
        None => text,
    }
}
