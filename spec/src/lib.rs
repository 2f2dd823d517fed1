//! The contract that every part of Perigee shares: what an app is made of, what each of its actors may use and do, and
//! how that travels from the manifest to the worker.
//!
//! ```text
//! manifest (YAML) --Manifest::parse--> AppSpec --annotation::encode--> pod annotation
//!   --containerd--> config.json --annotation::decode (hostile input)--> AppSpec --> worker
//! ```
//!
//! An [`AppSpec`] that exists is valid: every way to make one runs the same checks, and every hop refuses a key that it
//! does not know. What is not granted is denied.
#![warn(missing_docs)]

pub mod annotation;
mod app;
mod env;
mod error;
mod limits;
pub mod manifest;
mod permissions;
mod quantity;
mod restart;

pub use app::{ActorClass, AppSpec, ClassName, DEFAULT_ENTRYPOINT};
pub use env::{ConfigMapKeyRef, EnvSource, EnvVar, FieldRef, SecretKeyRef, container_variable};
pub use error::SpecError;
pub use limits::{ActorCount, Limits, MAX_MEMORY};
pub use manifest::Manifest;
pub use permissions::{ConnectHost, ConnectRule, Folder, ListenRule, Network, Permissions, Port};
pub use quantity::MemoryBytes;
pub use restart::{Restart, RestartPolicy, Strategy, Window};

/// API group of the resource.
pub const GROUP: &str = "perigee.dev";
/// API version of the resource.
pub const VERSION: &str = "v1alpha1";
/// Kind of the resource.
pub const KIND: &str = "ActorApp";
/// Name of the RuntimeClass and of containerd's runtime handler.
pub const RUNTIME_CLASS: &str = "perigee";
/// Container of an ActorApp's pod that runs the actors: the annotation speaks of this one, never of a sidecar.
pub const APP_CONTAINER: &str = "app";
