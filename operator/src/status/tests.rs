use k8s_openapi::jiff::Timestamp;
use perigee_spec::MemoryBytes;
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn deployment(yaml: &str) -> Deployment {
    serde_yaml::from_str(yaml).unwrap()
}

const WELL: &str = "{metadata: {generation: 2}, spec: {replicas: 2, selector: {}, template: {}}, status: {observedGeneration: 2,
  replicas: 2, readyReplicas: 2, updatedReplicas: 2, availableReplicas: 2, conditions: [
    {type: Available, status: 'True', reason: MinimumReplicasAvailable},
    {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}}";

/// A pod whose app container has this state.
fn pod(name: &str, container: &str) -> Pod {
    let yaml = format!(
        "{{metadata: {{name: {name}}}, status: {{conditions: [{{type: Ready, status: 'False'}}], containerStatuses: [{{name: app, image: i, imageID: i, ready: false, restartCount: 1, {container}}}]}}}}"
    );
    serde_yaml::from_str(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

fn look(refusal: Option<&Refusal>, deployment: Option<&Deployment>, pods: &[Pod]) -> ActorAppStatus {
    observe(&Sight { name: "shop", generation: Some(3), refusal, deployment, pods }, None, &at(0))
}

/// Conditions in short: `Accepted=True Accepted: message`.
fn short(status: &ActorAppStatus) -> String {
    let line =
        |condition: &Condition| format!("{}={} {}: {}", condition.type_, condition.status, condition.reason, condition.message);
    let lines: Vec<_> = status.conditions.iter().map(line).collect();
    format!("[{}]\n{}", status.reason.as_deref().unwrap_or_default(), lines.join("\n"))
}

#[test]
fn an_app_that_runs_is_available() {
    let status = look(None, Some(&deployment(WELL)), &[]);
    assert_eq!((status.replicas, status.ready_replicas, status.updated_replicas), (2, 2, 2));
    assert_eq!(status.selector.as_deref(), Some("perigee.dev/app-name=shop"));
    insta::assert_snapshot!(short(&status), @r"
    [Available]
    Accepted=True Accepted: the spec is valid and rolled out
    Available=True Available: 2 of 2 pods are available
    Progressing=False RolledOut: all pods are of the latest spec
    Degraded=False AsExpected: no pod reports a failure
    ");
}

#[test]
fn a_refused_first_spec_leaves_nothing_rolled_out() {
    let refusal = Refusal::MemoryDoesNotFit {
        sum: "32Mi for the worker + web 2 x 16Mi".into(),
        total: MemoryBytes(64 << 20),
        limit: MemoryBytes(48 << 20),
    };
    insta::assert_snapshot!(short(&look(Some(&refusal), None, &[])), @r"
    [MemoryDoesNotFit]
    Accepted=False MemoryDoesNotFit: the actors do not fit: 32Mi for the worker + web 2 x 16Mi = 64Mi, but resources.limits.memory is 48Mi: raise it, or lower instances or limits.memory of a class
    Available=False NotRolledOut: no spec of this app was rolled out yet
    Progressing=False NotRolledOut: no spec of this app was rolled out yet
    Degraded=False AsExpected: no pod reports a failure
    ");
}

#[test]
fn a_refused_later_spec_leaves_the_earlier_one_available() {
    let refusal = Refusal::NameTaken { kind: "Service", name: "shop".into() };
    let status = look(Some(&refusal), Some(&deployment(WELL)), &[]);
    assert_eq!(status.reason.as_deref(), Some("NameTaken"));
    assert_eq!(status.conditions[1].status, "True");
}

#[test]
fn a_failing_actor_is_named_with_its_pod() {
    let down = WELL
        .replace("availableReplicas: 2", "availableReplicas: 0")
        .replace("Available, status: 'True'", "Available, status: 'False'");
    let crash = "state: {waiting: {reason: CrashLoopBackOff, message: back-off 10s}}, lastState: {terminated: {exitCode: 134, reason: Error, message: 'actor web/1: trap: unreachable'}}";
    let status = look(None, Some(&deployment(&down)), &[pod("shop-b", crash), pod("shop-a", crash)]);
    insta::assert_snapshot!(short(&status), @r"
    [ActorsFailed]
    Accepted=True Accepted: the spec is valid and rolled out
    Available=False PodsNotReady: 0 of 2 pods are available; pod shop-a: container app: exit code 134: actor web/1: trap: unreachable (and 1 more pods fail)
    Progressing=False RolledOut: all pods are of the latest spec
    Degraded=True ActorsFailed: pod shop-a: container app: exit code 134: actor web/1: trap: unreachable (and 1 more pods fail)
    ");
}

/// What a pod suffers from, by the state of its container.
#[test]
fn every_trouble_of_a_container_has_its_reason() {
    for (container, expected) in [
        (
            "state: {waiting: {reason: CreateContainerError, message: no shim}}",
            "[ContainerNotCreated] pod p: container app: CreateContainerError: no shim",
        ),
        (
            "state: {waiting: {reason: ImagePullBackOff, message: not found}}",
            "[ImageNotPulled] pod p: container app: ImagePullBackOff: not found",
        ),
        (
            "state: {running: {}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}",
            "[ActorsFailed] pod p: container app: exit code 137 (OOMKilled)",
        ),
        (
            "state: {terminated: {exitCode: 128, reason: StartError, message: ' bad annotation '}}",
            "[ContainerNotCreated] pod p: container app: exit code 128 (StartError): bad annotation",
        ),
        ("state: {waiting: {reason: ContainerCreating}}", "[RollingOut] no pod reports a failure"),
    ] {
        let rolling = WELL.replace("updatedReplicas: 2", "updatedReplicas: 1");
        let status = look(None, Some(&deployment(&rolling)), &[pod("p", container)]);
        assert_eq!(format!("[{}] {}", status.reason.unwrap(), status.conditions[3].message), expected);
    }
}

#[test]
fn pods_that_may_not_be_made_or_placed_are_told() {
    let refused = WELL.replace("conditions: [", "conditions: [{type: ReplicaFailure, status: 'True', message: exceeded quota},");
    let status = look(None, Some(&deployment(&refused)), &[]);
    assert_eq!((status.reason.as_deref(), status.conditions[3].message.as_str()), (Some("PodsRefused"), "exceeded quota"));
    assert!(!is_all_well(&deployment(&refused)));

    let pending: Pod = serde_yaml::from_str(
        "{metadata: {name: p}, status: {conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/3 nodes}]}}",
    )
    .unwrap();
    let status = look(None, Some(&deployment(WELL)), &[pending]);
    assert_eq!((status.reason.as_deref(), status.conditions[3].message.as_str()), (Some("Unschedulable"), "pod p: 0/3 nodes"));
}

#[test]
fn an_app_scaled_to_zero_is_available() {
    let zero = "{metadata: {generation: 2}, spec: {replicas: 0, selector: {}, template: {}}, status: {observedGeneration: 2,
      conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}}";
    assert_eq!(look(None, Some(&deployment(zero)), &[]).reason.as_deref(), Some("ScaledToZero"));
}

#[test]
fn a_rollout_that_passed_its_deadline_is_stuck() {
    let stuck = WELL.replace("reason: NewReplicaSetAvailable", "reason: ProgressDeadlineExceeded, message: timed out");
    let status = look(None, Some(&deployment(&stuck)), &[]);
    assert_eq!(status.reason.as_deref(), Some("RolloutStuck"));
    assert_eq!((status.conditions[2].status.as_str(), status.conditions[3].status.as_str()), ("False", "True"));
}

#[test]
fn times_move_only_when_a_condition_turns() {
    let sight = |refusal| Sight { name: "shop", generation: Some(3), refusal, deployment: None, pods: &[] };
    let first = observe(&sight(None), None, &at(10));
    let second = observe(&sight(None), Some(&first), &at(20));
    assert_eq!(first, second, "nothing changed, so nothing is written");
    let refusal = Refusal::Unreadable("x".into());
    let third = observe(&sight(Some(&refusal)), Some(&second), &at(30));
    assert_eq!(third.conditions[0].last_transition_time, at(30));
    assert_eq!(third.conditions[1].last_transition_time, at(10));
}

proptest! {
    #[test]
    fn any_termination_message_fits_into_a_condition(message in "\\PC{0,5000}") {
        let mut pod = pod("p", "state: {terminated: {exitCode: 1}}");
        let status = pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
        status[0].state.as_mut().unwrap().terminated.as_mut().unwrap().message = Some(message);
        let status = look(None, Some(&deployment(WELL)), &[pod]);
        prop_assert!(status.conditions.iter().all(|condition| condition.message.chars().count() <= MAX_MESSAGE_CHARS));
    }
}
