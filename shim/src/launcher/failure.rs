//! What went wrong while a container was made: what was tried, and the kernel's word for it.

use std::io;

/// The text reaches `kubectl describe pod`.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub(crate) struct Failure {
    doing: String,
    source: io::Error,
}

/// For `map_err`: what was being done.
pub(super) fn failed<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Failure {
    |source| Failure { doing: doing.into(), source: source.into() }
}
