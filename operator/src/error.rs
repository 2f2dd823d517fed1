//! What keeps a reconciliation from ending, and when to try again. A spec that is refused is no error: see
//! [`Refusal`].

use std::time::Duration;

use crate::plan::Refusal;

/// First pause after a passing failure; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a passing failure: an API server that comes back is used again within a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pause after a failure that only a person or another program ends, such as missing rights.
const LONG_PAUSE: Duration = Duration::from_secs(300);

/// A reconciliation that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error("failed to {operation} {kind} {namespace}/{name}")]
    Api {
        operation: &'static str,
        kind: &'static str,
        namespace: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
}

impl ReconcileError {
    /// Stable word for logs and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        let Self::Api { source, .. } = self;
        match source.as_ref() {
            kube::Error::Api(status) => match status.code {
                401 | 403 => "ApiDenied",
                404 => "ApiNotFound",
                409 => "ApiConflict",
                400..500 => "ApiRefused",
                _ => "ApiFailed",
            },
            _ => "ApiUnreachable",
        }
    }

    /// What the API server says, without what only its client's author wants to know.
    pub(crate) fn cause(&self) -> String {
        let Self::Api { source, .. } = self;
        match source.as_ref() {
            kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
            other => other.to_string(),
        }
    }

    /// The same, for the status of the ActorApp.
    pub(crate) fn as_refusal(&self) -> Refusal {
        let Self::Api { kind, name, .. } = self;
        Refusal::ApiServer { kind, name: name.clone(), message: self.cause() }
    }

    /// The pause before the next try, after `failures` (at least 1) in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        match self.reason() {
            "ApiDenied" | "ApiRefused" => LONG_PAUSE.min(LONGEST_PAUSE.saturating_mul(failures)),
            _ => LONGEST_PAUSE.min(FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16) -> ReconcileError {
        let status = kube::core::Status { code, ..kube::core::Status::default() };
        ReconcileError::Api {
            operation: "apply",
            kind: "Deployment",
            namespace: "shops".into(),
            name: "shop".into(),
            source: Box::new(kube::Error::Api(status.boxed())),
        }
    }

    #[test]
    fn pauses_grow_and_stop_growing() {
        let seconds = |code, failures| error(code).pause(failures).as_secs();
        assert_eq!([1, 2, 3, 7, 100].map(|failures| seconds(503, failures)), [1, 2, 4, 60, 60]);
        assert_eq!([1, 2, 100].map(|failures| seconds(403, failures)), [60, 120, 300]);
    }

    #[test]
    fn every_class_of_answer_has_a_word() {
        assert_eq!(
            [401, 404, 409, 422, 500].map(|code| error(code).reason()),
            ["ApiDenied", "ApiNotFound", "ApiConflict", "ApiRefused", "ApiFailed"]
        );
    }
}
