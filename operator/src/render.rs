//! From a plan to Kubernetes objects. Pure: the same plan always gives the same object, so that applying it again
//! changes nothing.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;

use crate::MANAGER;
use crate::plan::AppPlan;

mod deployment;
mod pod_template;
mod service;

pub(crate) use deployment::deployment;
pub(crate) use pod_template::check as check_pod_template;
pub(crate) use service::service;

/// Label that finds an app's pods. Ours alone: other labels may be set by people, and a selector never changes.
pub(crate) const APP_LABEL: &str = "perigee.dev/app-name";
/// Label of everything that the operator makes.
pub(crate) const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Selector of an app's pods, as `/scale` and list calls take it.
pub(crate) fn selector(name: &str) -> String {
    format!("{APP_LABEL}={name}")
}

/// Selector of everything that the operator makes.
pub(crate) fn managed_selector() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGER}")
}

fn selector_labels(plan: &AppPlan) -> BTreeMap<String, String> {
    BTreeMap::from([(APP_LABEL.to_owned(), plan.name.clone())])
}

fn labels(plan: &AppPlan) -> BTreeMap<String, String> {
    let mut labels = selector_labels(plan);
    labels.insert("app.kubernetes.io/name".to_owned(), plan.name.clone());
    labels.insert("app.kubernetes.io/instance".to_owned(), plan.name.clone());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    labels
}

fn metadata(plan: &AppPlan) -> ObjectMeta {
    ObjectMeta {
        name: Some(plan.name.clone()),
        namespace: Some(plan.namespace.clone()),
        labels: Some(labels(plan)),
        owner_references: Some(vec![plan.owner.clone()]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
pub(crate) mod tests;
