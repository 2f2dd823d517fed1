//! What can go wrong in a call, and the status code that containerd gets for it.

use std::io;

use containerd_shim::protos::ttrpc::{self, Code};

use crate::{
    content::ContentError, image::ImageError, launch::LaunchError, options::OptionsError, runtime::RuntimeError, state::Refused,
};

/// A call that failed. The text reaches `kubectl describe pod`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    #[error("container {0} is not known to this shim")]
    NoContainer(String),
    #[error("container {container} has no process {exec}")]
    NoExec { container: String, exec: String },
    #[error("container {0} exists already")]
    ContainerExists(String),
    #[error("container {container} has a process {exec} already")]
    ExecExists { container: String, exec: String },
    /// containerd knows this text: a signal for a process that has just ended is no failure.
    #[error("process already finished")]
    Finished,
    #[error("process not created")]
    NotStarted,
    #[error("container {0}: its first process is not running")]
    NotRunning(String),
    #[error("container {0} is still being created")]
    Creating(String),
    #[error("the shim is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0} is not implemented by the perigee runtime")]
    Unimplemented(&'static str),
    #[error("{what} {value:?} is not valid: {expected}")]
    Invalid { what: &'static str, value: String, expected: &'static str },
    #[error("runtime options: {0}")]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("{context}: {source}")]
    Io { context: String, source: io::Error },
    /// From `containerd-shim`: mounting, stdio copies, metrics.
    #[error("{context}: {source}")]
    Library { context: &'static str, source: containerd_shim::Error },
    #[error("the container's metrics are not available: {0}")]
    NoMetrics(String),
    /// A bug of the shim in one call; its other containers go on.
    #[error("the shim failed in {0}: see containerd's log")]
    Panicked(&'static str),
}

impl ShimError {
    /// For `map_err`: what was being done.
    pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { context: context.into(), source }
    }

    /// For `map_err`: what was being done.
    pub(crate) fn library(context: &'static str) -> impl FnOnce(containerd_shim::Error) -> Self {
        move |source| Self::Library { context, source }
    }

    fn code(&self) -> Code {
        match self {
            Self::NoContainer(_) | Self::NoExec { .. } | Self::Finished => Code::NOT_FOUND,
            Self::ContainerExists(_) | Self::ExecExists { .. } => Code::ALREADY_EXISTS,
            Self::Creating(_) | Self::ShuttingDown | Self::NotStarted | Self::NotRunning(_) => Code::FAILED_PRECONDITION,
            Self::Unimplemented(_) => Code::UNIMPLEMENTED,
            Self::Invalid { .. } | Self::Options(_) | Self::Launch(_) | Self::Image(_) => Code::INVALID_ARGUMENT,
            Self::NoMetrics(_) => Code::UNAVAILABLE,
            // A call that the state does not allow is unknown to containerd's own shim, too.
            Self::Refused(_) | Self::Content(_) | Self::Runtime(_) | Self::Io { .. } | Self::Library { .. } => Code::UNKNOWN,
            Self::Panicked(_) => Code::INTERNAL,
        }
    }
}

impl From<ShimError> for ttrpc::Error {
    fn from(error: ShimError) -> Self {
        Self::RpcStatus(ttrpc::get_status(error.code(), error.to_string()))
    }
}
