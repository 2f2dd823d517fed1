//! The `ActorApp` manifest as a person writes it.
//!
//! The operator reads it through the API server (its CRD has the same fields, which a test there holds it to);
//! `perigee run` reads it from a file and uses what concerns the actors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ActorClass, AppSpec, GROUP, KIND, SpecError, Strategy, VERSION};

/// An `ActorApp`, strict: an unknown key is an error, so that a misspelt permission is never silently denied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// `perigee.dev/v1alpha1`.
    pub api_version: String,
    /// `ActorApp`.
    pub kind: String,
    /// Name, and what else Kubernetes keeps there.
    pub metadata: Metadata,
    /// What is to run.
    pub spec: ManifestSpec,
}

/// The part of `metadata` that Perigee reads. Kubernetes owns the rest, so other keys are let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name of the app.
    pub name: String,
    /// Namespace in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The resource's `spec`. Fields that only a cluster uses are kept as they are: the API server checks them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestSpec {
    /// OCI image or Wasm artifact with the modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the kubelet pulls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Secrets for the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<serde_json::Value>,
    /// Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Classes of actors.
    pub actors: Vec<ActorClass>,
    /// Which declared actors are started again with one that is.
    #[serde(default, skip_serializing_if = "Strategy::is_default")]
    pub strategy: Strategy,
    /// Ports of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<serde_json::Value>,
    /// The pod's requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<serde_json::Value>,
    /// What is merged over the rendered pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<serde_json::Value>,
}

impl Manifest {
    /// Reads one manifest from any format that serde knows.
    ///
    /// # Errors
    /// The first thing that is wrong, by its path in the manifest.
    pub fn parse<'de, D>(deserializer: D) -> Result<Self, SpecError>
    where
        D: serde::Deserializer<'de>,
    {
        let manifest: Self = serde_path_to_error::deserialize(deserializer).map_err(|error| SpecError::at("", &error))?;
        let api_version = format!("{GROUP}/{VERSION}");
        for (path, found, expected) in
            [("apiVersion", &manifest.api_version, api_version.as_str()), ("kind", &manifest.kind, KIND)]
        {
            if found != expected {
                return Err(SpecError::NotAnActorApp { path, found: found.clone(), expected: expected.to_owned() });
            }
        }
        Ok(manifest)
    }

    /// The app that it describes.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn app(&self) -> Result<AppSpec, SpecError> {
        let app = AppSpec::new(&self.metadata.name, self.spec.actors.clone(), "spec.actors")?;
        Ok(app.with_strategy(self.spec.strategy))
    }
}

#[cfg(test)]
mod tests;
