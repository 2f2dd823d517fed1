//! The operator: it turns every `ActorApp` into a Deployment (and a Service) and tells in its status what became of it.
//!
//! ```text
//! watch --ActorApp--> plan (checked) --> render (pure) --> server-side apply --> observe pods --> status, events
//! ```
//!
//! It writes Deployments, Services, events and the status of ActorApps, and nothing else: no Secrets, no nodes. A Secret
//! that an actor's variable names is read by the kubelet.

pub mod admin;
pub mod args;
mod cluster;
mod context;
pub mod controller;
pub mod crd;
mod error;
mod metrics;
mod plan;
mod quantity;
mod reconcile;
mod render;
mod resources;
mod status;

/// Field manager of every server-side apply, controller name of every event, value of `managed-by`.
pub const MANAGER: &str = "perigee-operator";
