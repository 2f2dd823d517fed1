//! The Service in front of the pods.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::deployment::protocol;
use super::{metadata, selector_labels};
use crate::plan::AppPlan;

/// The Service, when the app has ports.
pub(crate) fn service(plan: &AppPlan) -> Option<Value> {
    if plan.ports.is_empty() {
        return None;
    }
    let ports = plan.ports.iter().map(|port| ServicePort {
        name: Some(port.name.clone()),
        port: i32::from(port.service_port.unwrap_or(port.container_port)),
        // By name, so that a port's number may change while pods with the old one still serve.
        target_port: Some(IntOrString::String(port.name.clone())),
        protocol: Some(protocol(port.protocol).to_owned()),
        ..ServicePort::default()
    });
    let service = Service {
        metadata: metadata(plan),
        spec: Some(ServiceSpec { selector: Some(selector_labels(plan)), ports: Some(ports.collect()), ..ServiceSpec::default() }),
        ..Service::default()
    };
    Some(serde_json::to_value(service).expect("a Service serializes"))
}
