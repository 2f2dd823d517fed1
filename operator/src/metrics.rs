//! Numbers about the operator itself, at `/metrics`. Labels have few values: never a name of an object.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

type Label = [(&'static str, &'static str); 1];

/// How a reconciliation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    Refused,
    Failed,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The operator's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    reconciliations: Family<Label, Counter>,
    failures: Family<Label, Counter>,
    duration: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("perigee_operator");
        let reconciliations = Family::<Label, Counter>::default();
        let failures = Family::<Label, Counter>::default();
        // 5 ms (a cached answer) to 10 s (an API server in trouble).
        let duration = Histogram::new(exponential_buckets(0.005, 2.0, 12));
        registry.register("reconciliations", "Reconciliations of ActorApps, by outcome", reconciliations.clone());
        registry.register("failures", "Failed reconciliations, by reason", failures.clone());
        registry.register_with_unit("reconciliation", "Time of a reconciliation", Unit::Seconds, duration.clone());
        Self { registry, reconciliations, failures, duration }
    }

    pub(crate) fn reconciled(&self, outcome: Outcome, took: Duration) {
        self.reconciliations.get_or_create(&[("outcome", outcome.as_str())]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// In the text format of OpenMetrics.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_these() {
        let metrics = Metrics::new();
        metrics.reconciled(Outcome::Applied, Duration::from_millis(7));
        metrics.failed("ApiFailed");
        let text = metrics.text();
        for line in [
            "perigee_operator_reconciliations_total{outcome=\"applied\"} 1",
            "perigee_operator_failures_total{reason=\"ApiFailed\"} 1",
            "perigee_operator_reconciliation_seconds_count 1",
        ] {
            assert!(text.lines().any(|got| got == line), "{line}: {text}");
        }
    }
}
