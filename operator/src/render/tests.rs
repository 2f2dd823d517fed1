use serde_json::json;

use super::*;
use crate::crd::ActorApp;
use crate::plan::{Refusal, plan};

/// An ActorApp as the API server hands it out.
pub(crate) fn app(spec: &str) -> ActorApp {
    let yaml = format!(
        "{{apiVersion: perigee.dev/v1alpha1, kind: ActorApp, metadata: {{name: shop, namespace: shops, uid: u-1, generation: 3}}, spec: {spec}}}"
    );
    serde_yaml::from_str(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

pub(crate) const SHOP: &str = r#"{
  image: "registry.example/shop:1.4.0", imagePullPolicy: Always, imagePullSecrets: [{name: registry}], replicas: 2,
  actors: [
    {name: web, module: web.wasm, env: [{name: LOG, value: info}, {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token}}}],
     permissions: {spawn: [cart], network: {listen: ["0.0.0.0:8080"]}}},
    {name: cart, module: cart.wasm, instances: 0, limits: {memory: 2Mi}}],
  ports: [{name: http, containerPort: 8080, servicePort: 80}]}"#;

fn planned(spec: &str) -> AppPlan {
    plan(&app(spec)).unwrap()
}

/// A small app with this pod template.
fn with_template(template: &str) -> Result<AppPlan, Refusal> {
    plan(&app(&format!("{{image: i, actors: [{{name: web}}], podTemplate: {template}}}")))
}

fn pod_with_template(template: &str) -> serde_json::Value {
    deployment(&with_template(template).unwrap())["spec"]["template"].clone()
}

#[test]
fn an_app_becomes_a_deployment() {
    insta::assert_yaml_snapshot!(deployment(&planned(SHOP)));
}

#[test]
fn actors_have_the_pods_grace_period_less_what_the_worker_needs() {
    let grace = |template| pod_with_template(template)["metadata"]["annotations"]["perigee.dev/grace-seconds"].clone();
    assert_eq!(grace("{}"), "28");
    assert_eq!(grace("{spec: {terminationGracePeriodSeconds: 120}}"), "118");
    assert_eq!(grace("{spec: {terminationGracePeriodSeconds: 1}}"), "0");
}

#[test]
fn an_app_with_ports_becomes_a_service() {
    insta::assert_yaml_snapshot!(service(&planned(SHOP)));
}

#[test]
fn an_app_without_ports_has_no_service() {
    assert_eq!(service(&planned("{image: i, actors: [{name: web}]}")), None);
}

#[test]
fn the_annotation_is_what_the_worker_decodes() {
    let plan = planned(SHOP);
    let deployment = deployment(&plan);
    let annotation = deployment["spec"]["template"]["metadata"]["annotations"][perigee_spec::annotation::KEY].as_str().unwrap();
    assert_eq!(perigee_spec::annotation::decode(annotation).unwrap(), plan.app);
}

#[test]
fn a_changed_permission_changes_the_pod_template_and_so_rolls_out() {
    let before = deployment(&planned(SHOP));
    let after = deployment(&planned(&SHOP.replace("0.0.0.0:8080", "0.0.0.0:8081")));
    assert_ne!(before["spec"]["template"], after["spec"]["template"]);
}

#[test]
fn the_pod_template_is_merged_by_name() {
    let pod = pod_with_template(
        r"{metadata: {labels: {team: shop}, annotations: {note: kept}}, spec: {
            nodeSelector: {disk: fast}, tolerations: [{operator: Exists}], terminationGracePeriodSeconds: 10,
            automountServiceAccountToken: true, enableServiceLinks: null,
            securityContext: {seccompProfile: {type: Unconfined}, runAsUser: 7},
            volumes: [{name: data, emptyDir: {}}],
            containers: [
              {name: app, volumeMounts: [{name: data, mountPath: /data}], readinessProbe: {tcpSocket: {port: 8080}},
               env: [{name: EXTRA, value: x}], securityContext: {readOnlyRootFilesystem: true}},
              {name: proxy, image: p}], aFieldOfTheFuture: {kept: true}}}",
    );
    insta::assert_yaml_snapshot!(pod);
}

#[test]
fn an_entry_of_the_same_key_is_merged_and_not_doubled() {
    let plan = plan(&app(
        "{image: i, actors: [{name: web}], ports: [{name: http, containerPort: 80}], podTemplate: {spec: {containers: [{name: app, ports: [{containerPort: 80, hostPort: 8080}]}]}}}",
    ))
    .unwrap();
    assert_eq!(
        deployment(&plan)["spec"]["template"]["spec"]["containers"][0]["ports"],
        json!([{"name": "http", "containerPort": 80, "protocol": "TCP", "hostPort": 8080}])
    );
}

#[test]
fn a_pod_template_that_takes_the_app_over_is_refused_with_a_remedy() {
    for (template, expected) in [
        (
            "{spec: {containers: [{name: app, image: other}]}}",
            "spec.podTemplate.spec.containers[0].image: write it as spec.image",
        ),
        ("{spec: {containers: [{name: x}, {name: app, command: [sh]}]}}", "spec.containers[1].command"),
        ("{spec: {containers: [{name: app, args: [a]}]}}", "write spec.actors[].args"),
        ("{spec: {containers: [{name: app, env: [{name: PERIGEE_web_TOKEN, value: forged}]}]}}", "spec.actors[].env"),
        ("{spec: {containers: [{image: x}]}}", "write its name"),
        ("{spec: {containers: {app: {}}}}", "write a list"),
        ("{metadata: {labels: {perigee.dev/app-name: other}}}", "the operator sets it"),
        ("{metadata: {annotations: {perigee.dev/app: forged}}}", "the operator writes spec.actors there"),
    ] {
        let refusal = with_template(template).expect_err(template);
        assert!(matches!(refusal, Refusal::PodTemplate { .. }), "{template}");
        assert!(refusal.to_string().contains(expected), "{template}: {refusal}");
    }
}
