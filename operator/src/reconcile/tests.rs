//! Which calls a reconciliation makes, against a mocked API server.

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock::{Handle, pair};

use super::*;
use crate::render::tests::{SHOP, app};

/// One call that is expected, and its answer.
struct Step {
    call: &'static str,
    answer: (StatusCode, Value),
}

fn step(call: &'static str, code: u16, answer: Value) -> Step {
    Step { call, answer: (StatusCode::from_u16(code).unwrap(), answer) }
}

fn absent(call: &'static str) -> Step {
    failure(call, 404, "not found")
}

fn failure(call: &'static str, code: u16, message: &str) -> Step {
    let reason = if code == 404 { "NotFound" } else { "" };
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    step(call, code, status)
}

fn deployment(owner: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "uid": "d-1", "ownerReferences": [{"apiVersion": "perigee.dev/v1alpha1", "kind": "ActorApp", "name": "shop", "uid": owner}]},
        "spec": {"replicas": 0, "selector": {}, "template": {}},
        "status": {"conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}})
}

fn service(owner: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop", "uid": "s-1",
        "ownerReferences": [{"apiVersion": "perigee.dev/v1alpha1", "kind": "ActorApp", "name": "shop", "uid": owner}]}})
}

const GET_DEPLOYMENT: &str = "GET /apis/apps/v1/namespaces/shops/deployments/shop";
const APPLY_DEPLOYMENT: &str = "PATCH /apis/apps/v1/namespaces/shops/deployments/shop";
const GET_SERVICE: &str = "GET /api/v1/namespaces/shops/services/shop";
const APPLY_SERVICE: &str = "PATCH /api/v1/namespaces/shops/services/shop";
const DELETE_SERVICE: &str = "DELETE /api/v1/namespaces/shops/services/shop";
const WRITE_STATUS: &str = "PATCH /apis/perigee.dev/v1alpha1/namespaces/shops/actorapps/shop/status";
const GET_APP: &str = "GET /apis/perigee.dev/v1alpha1/namespaces/shops/actorapps/shop";
const POST_EVENT: &str = "POST /apis/events.k8s.io/v1/namespaces/shops/events";

fn written() -> Step {
    step(WRITE_STATUS, 200, serde_json::to_value(app(SHOP)).unwrap())
}

fn event() -> Step {
    step(POST_EVENT, 201, json!({"metadata": {}, "eventTime": null}))
}

/// Answers the steps in order; gives the bodies that were sent. A call that is not expected fails the test.
async fn serve(mut handle: Handle<Request<Body>, Response<Body>>, steps: Vec<Step>) -> Vec<Value> {
    let mut bodies = Vec::new();
    for step in steps {
        let (request, reply) = handle.next_request().await.unwrap_or_else(|| panic!("expected {}", step.call));
        let (parts, body) = request.into_parts();
        assert_eq!(format!("{} {}", parts.method, parts.uri.path()), step.call);
        if parts.method == Method::PATCH && !step.call.contains("/status") {
            assert!(parts.uri.query().unwrap_or_default().contains("fieldValidation=Strict"), "{}", parts.uri);
        }
        let body = body.collect_bytes().await.unwrap();
        bodies.push(serde_json::from_slice(&body).unwrap_or(Value::Null));
        let answer = Response::builder().status(step.answer.0).body(Body::from(step.answer.1.to_string().into_bytes()));
        reply.send_response(answer.unwrap());
    }
    assert!(handle.next_request().await.is_none(), "one more call was made");
    bodies
}

/// Reconciles once against these answers.
async fn scenario(object: Guarded, steps: Vec<Step>) -> (Result<Action, ReconcileError>, Vec<Value>) {
    after_failures(0, object, steps).await
}

async fn after_failures(failures: u32, object: Guarded, steps: Vec<Step>) -> (Result<Action, ReconcileError>, Vec<Value>) {
    let (service, handle) = pair::<Request<Body>, Response<Body>>();
    let server = tokio::spawn(serve(handle, steps));
    let context = Arc::new(Context::new(Client::new(service, "default")));
    for _ in 0..failures {
        context.count_failure(key(&object));
    }
    let result = Box::pin(reconcile(Arc::new(object), context)).await;
    let bodies = tokio::time::timeout(Duration::from_secs(5), server).await.expect("fewer calls than expected").unwrap();
    (result, bodies)
}

fn guarded(spec: &str) -> Guarded {
    DeserializeGuard(Ok(app(spec)))
}

#[tokio::test]
async fn a_new_app_gets_a_deployment_a_service_a_status_and_an_event() {
    let (result, bodies) = scenario(
        guarded(SHOP),
        vec![
            absent(GET_DEPLOYMENT),
            absent(GET_SERVICE),
            step(APPLY_DEPLOYMENT, 201, deployment("u-1")),
            step(APPLY_SERVICE, 201, service("u-1")),
            written(),
            event(),
        ],
    )
    .await;
    assert_eq!(result.unwrap(), Action::await_change());
    assert_eq!(bodies[2]["metadata"]["ownerReferences"][0]["uid"], "u-1");
    assert_eq!(bodies[4]["status"]["observedGeneration"], 3);
    assert_eq!(bodies[5]["reason"], "Accepted");
}

#[tokio::test]
async fn an_unchanged_status_is_not_written_again() {
    let steps = || {
        vec![
            step(GET_DEPLOYMENT, 200, deployment("u-1")),
            step(GET_SERVICE, 200, service("u-1")),
            step(APPLY_DEPLOYMENT, 200, deployment("u-1")),
            step(APPLY_SERVICE, 200, service("u-1")),
        ]
    };
    let mut first = steps();
    first.extend([written(), event()]);
    let (_, bodies) = scenario(guarded(SHOP), first).await;
    let mut known = app(SHOP);
    known.status = serde_json::from_value(bodies[4]["status"].clone()).unwrap();
    let (result, _) = scenario(DeserializeGuard(Ok(known)), steps()).await;
    assert_eq!(result.unwrap(), Action::await_change());
}

#[tokio::test]
async fn a_service_without_ports_is_deleted_by_its_uid() {
    let (result, bodies) = scenario(
        guarded("{image: i, actors: [{name: web}]}"),
        vec![
            step(GET_DEPLOYMENT, 200, deployment("u-1")),
            step(GET_SERVICE, 200, service("u-1")),
            step(DELETE_SERVICE, 200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
            step(APPLY_DEPLOYMENT, 200, deployment("u-1")),
            written(),
            event(),
        ],
    )
    .await;
    assert!(result.is_ok());
    assert_eq!(bodies[2]["preconditions"]["uid"], "s-1");
}

#[tokio::test]
async fn somebody_elses_service_is_never_touched() {
    let (result, bodies) = scenario(
        guarded(SHOP),
        vec![absent(GET_DEPLOYMENT), step(GET_SERVICE, 200, service("another")), absent(GET_DEPLOYMENT), written(), event()],
    )
    .await;
    assert_eq!(result.unwrap(), Action::requeue(REFUSED_PAUSE));
    assert_eq!(bodies[3]["status"]["reason"], "NameTaken");
    assert_eq!((bodies[4]["reason"].as_str(), bodies[4]["type"].as_str()), (Some("NameTaken"), Some("Warning")));
}

#[tokio::test]
async fn memory_that_does_not_fit_rolls_nothing_out() {
    let (result, bodies) = scenario(
        guarded("{image: i, actors: [{name: web}], resources: {limits: {memory: 16Mi}}}"),
        vec![step(GET_DEPLOYMENT, 200, deployment("u-1")), written(), event()],
    )
    .await;
    assert_eq!(result.unwrap(), Action::await_change());
    let message = bodies[1]["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("32Mi for the worker + web 1 x 16Mi = 48Mi"), "{message}");
    assert_eq!(bodies[2]["note"], message);
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    let (result, bodies) = scenario(
        guarded("{image: i, actors: [{name: web}], podTemplate: {spec: {nodeSelektor: {}}}}"),
        vec![
            absent(GET_DEPLOYMENT),
            absent(GET_SERVICE),
            failure(APPLY_DEPLOYMENT, 500, "failed to create typed patch object (shops/shop; apps/v1, Kind=Deployment): .spec.template.spec.nodeSelektor: field not declared in schema"),
            absent(GET_DEPLOYMENT),
            written(),
            event(),
        ],
    )
    .await;
    assert_eq!(result.unwrap(), Action::requeue(REFUSED_PAUSE));
    assert_eq!(bodies[4]["status"]["reason"], "RefusedByApiServer");
    assert!(bodies[4]["status"]["conditions"][0]["message"].as_str().unwrap().contains("nodeSelektor"));
}

#[tokio::test]
async fn an_object_that_does_not_read_is_refused_with_the_field_that_is_wrong() {
    let mut raw = serde_json::to_value(app(SHOP)).unwrap();
    raw["spec"]["actors"][0]["permissions"]["network"]["listen"][0] = json!("localhost:8080");
    let guarded: Guarded = serde_json::from_value(raw.clone()).unwrap();
    assert!(guarded.0.is_err());
    let (result, bodies) = scenario(guarded, vec![step(GET_APP, 200, raw), absent(GET_DEPLOYMENT), written(), event()]).await;
    assert_eq!(result.unwrap(), Action::await_change());
    let accepted = &bodies[2]["status"]["conditions"][0];
    assert_eq!(accepted["reason"], "InvalidSpec");
    assert!(accepted["message"].as_str().unwrap().starts_with("spec.actors[0].permissions.network.listen[0]: "), "{accepted}");
}

#[tokio::test]
async fn a_failing_api_server_is_an_error_that_is_tried_again() {
    let (result, _) = scenario(guarded(SHOP), vec![failure(GET_DEPLOYMENT, 503, "try later")]).await;
    let error = result.unwrap_err();
    assert_eq!((error.reason(), error.to_string().as_str()), ("ApiFailed", "failed to read Deployment shops/shop"));
}

#[tokio::test]
async fn a_failure_that_lasts_is_told_and_still_tried_again() {
    let full = "Internal error occurred: failed to allocate a serviceIP: range is full";
    let steps = || {
        vec![
            absent(GET_DEPLOYMENT),
            absent(GET_SERVICE),
            step(APPLY_DEPLOYMENT, 201, deployment("u-1")),
            failure(APPLY_SERVICE, 500, full),
        ]
    };
    let (result, _) = after_failures(TOLD_AFTER - 1, guarded(SHOP), steps()).await;
    assert_eq!(result.unwrap_err().reason(), "ApiFailed");

    let mut told = steps();
    told.extend([step(GET_DEPLOYMENT, 200, deployment("u-1")), written(), event()]);
    let (result, bodies) = after_failures(TOLD_AFTER, guarded(SHOP), told).await;
    assert_eq!(result.unwrap_err().reason(), "ApiFailed");
    let accepted = &bodies[5]["status"]["conditions"][0];
    assert_eq!((accepted["reason"].as_str(), accepted["status"].as_str()), (Some("RefusedByApiServer"), Some("False")));
    assert!(accepted["message"].as_str().unwrap().contains("range is full"), "{accepted}");
}

#[tokio::test]
async fn an_app_that_is_deleted_is_left_alone() {
    let mut deleted = app(SHOP);
    deleted.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let (result, _) = scenario(DeserializeGuard(Ok(deleted)), Vec::new()).await;
    assert_eq!(result.unwrap(), Action::await_change());
}

/// As `kubectl delete namespace` has it: the Deployment goes first, its end calls for a reconciliation, and nothing may be
/// created any more.
#[tokio::test]
async fn an_app_whose_namespace_is_deleted_is_left_alone() {
    let ends = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": "deployments.apps \"shop\" is forbidden: unable to create new content in namespace shops because it is being terminated",
        "details": {"name": "shop", "group": "apps", "kind": "deployments",
            "causes": [{"reason": "NamespaceTerminating", "message": "namespace shops is being terminated", "field": "metadata.namespace"}]}});
    let steps = vec![absent(GET_DEPLOYMENT), absent(GET_SERVICE), step(APPLY_DEPLOYMENT, 403, ends)];
    let (result, _) = scenario(guarded(SHOP), steps).await;
    assert_eq!(result.unwrap(), Action::await_change());
}
