//! The words that conditions, events and the column `Reason` use. Programs match on them: they are part of the API.

use std::fmt;

/// Why a condition is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    // -- Accepted
    /// The spec was rolled out.
    Accepted,
    /// A rule is broken that the CRD's schema does not know.
    InvalidSpec,
    /// `resources.limits.memory` is less than the declared instances need.
    MemoryDoesNotFit,
    /// `podTemplate` sets what the operator has to.
    PodTemplateConflict,
    /// A Deployment or Service of that name belongs to somebody else.
    NameTaken,
    /// The API server refused a rendered object: a quota, an admission policy, a field of `podTemplate`.
    RefusedByApiServer,
    // -- Available
    /// Enough pods are available.
    Available,
    /// None is wanted.
    ScaledToZero,
    /// Too few are.
    PodsNotReady,
    /// There is no Deployment.
    NotRolledOut,
    // -- Progressing
    /// Pods are being replaced or started.
    RollingOut,
    /// They all are of the latest spec.
    RolledOut,
    /// The Deployment's progress deadline passed.
    RolloutStuck,
    // -- Degraded, worst first
    /// The app ended with an error, and the kubelet starts it again.
    ActorsFailed,
    /// The node cannot make the container: no shim, a wrong annotation, a missing Secret.
    ContainerNotCreated,
    /// The image does not arrive.
    ImageNotPulled,
    /// No node takes the pod.
    Unschedulable,
    /// Pods may not be created: a quota, an admission policy, no RuntimeClass.
    PodsRefused,
    /// Nothing is wrong.
    AsExpected,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debug prints the variant's name, which is the word; renaming a variant changes the API, and a snapshot says so.
        write!(f, "{self:?}")
    }
}
