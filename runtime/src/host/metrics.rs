//! Figures that guests count under names of their choice, summed over the app. `perigee run` and the worker print them at
//! the end, where `PERIGEE_LOG` asks for the level debug.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::{Result, bail};

/// Names of one app. Further ones are not counted: they are shared by all actors, so nobody is charged for them.
const MAX_NAMES: usize = 1_024;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 256;

/// The metrics of an app.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<String, Metric>>);

/// What a guest says of a metric.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    CounterAtLeast(u64),
    CounterPlusOne,
    Gauge(f64),
    GaugePlus(f64),
    Sample(f64),
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Metric {
    Counter(u64),
    Gauge(f64),
    Histogram { count: u64, sum: f64, min: f64, max: f64 },
}

impl Metrics {
    /// # Errors
    /// The name stands for a metric of another kind, or is too long.
    pub(crate) fn note(&self, name: &str, change: Change) -> Result<()> {
        if name.len() > MAX_NAME_BYTES {
            bail!("a metric's name of {} bytes: {MAX_NAME_BYTES} is the most", name.len());
        }
        let mut metrics = self.lock();
        if let Some(metric) = metrics.get_mut(name) {
            return metric
                .change(change)
                .ok_or_else(|| wasmtime::format_err!("the metric {name:?} is {metric}: {change:?} is for another kind"));
        }
        if metrics.len() < MAX_NAMES {
            metrics.insert(name.to_owned(), Metric::first(change));
        }
        Ok(())
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<(String, Metric)> {
        self.lock().iter().map(|(name, metric)| (name.clone(), *metric)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Metric>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metric {
    fn first(change: Change) -> Self {
        match change {
            Change::CounterAtLeast(value) => Self::Counter(value),
            Change::CounterPlusOne => Self::Counter(1),
            Change::Gauge(value) | Change::GaugePlus(value) => Self::Gauge(value),
            Change::Sample(value) => Self::Histogram { count: 1, sum: value, min: value, max: value },
        }
    }

    /// `None`: it is of another kind.
    fn change(&mut self, change: Change) -> Option<()> {
        match (self, change) {
            (Self::Counter(own), Change::CounterAtLeast(value)) => *own = (*own).max(value),
            (Self::Counter(own), Change::CounterPlusOne) => *own = own.saturating_add(1),
            (Self::Gauge(own), Change::Gauge(value)) => *own = value,
            (Self::Gauge(own), Change::GaugePlus(value)) => *own += value,
            (Self::Histogram { count, sum, min, max }, Change::Sample(value)) => {
                *count = count.saturating_add(1);
                *sum += value;
                *min = min.min(value);
                *max = max.max(value);
            }
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter(value) => write!(f, "a counter at {value}"),
            Self::Gauge(value) => write!(f, "a gauge at {value}"),
            Self::Histogram { count, sum, min, max } => write!(f, "a histogram of {count}: sum {sum}, from {min} to {max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_add_up_by_kind() {
        let metrics = Metrics::default();
        for change in [Change::CounterPlusOne, Change::CounterAtLeast(9), Change::CounterAtLeast(3), Change::CounterPlusOne] {
            metrics.note("requests", change).unwrap();
        }
        for change in [Change::GaugePlus(2.0), Change::Gauge(5.0), Change::GaugePlus(-1.5)] {
            metrics.note("open", change).unwrap();
        }
        for sample in [3.0, 1.0, 2.0] {
            metrics.note("seconds", Change::Sample(sample)).unwrap();
        }
        let expected = [
            ("open".to_owned(), Metric::Gauge(3.5)),
            ("requests".to_owned(), Metric::Counter(10)),
            ("seconds".to_owned(), Metric::Histogram { count: 3, sum: 6.0, min: 1.0, max: 3.0 }),
        ];
        assert_eq!(metrics.all(), expected);
        let error = metrics.note("open", Change::CounterPlusOne).unwrap_err().to_string();
        assert!(error.contains("\"open\" is a gauge at 3.5"), "{error}");
    }

    #[test]
    fn names_are_bounded_in_length_and_number() {
        let metrics = Metrics::default();
        for number in 0..=MAX_NAMES {
            metrics.note(&number.to_string(), Change::CounterPlusOne).unwrap();
        }
        assert_eq!(metrics.all().len(), MAX_NAMES);
        assert!(metrics.note(&"x".repeat(MAX_NAME_BYTES + 1), Change::CounterPlusOne).is_err());
        metrics.note("0", Change::CounterPlusOne).unwrap();
        assert_eq!(metrics.all().first(), Some(&("0".to_owned(), Metric::Counter(2))));
    }
}
