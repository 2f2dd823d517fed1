//! What all reconciliations share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::Client;

use crate::metrics::Metrics;

/// Objects whose failures are counted. When more fail at once, something bigger is wrong than their pauses, and the
/// counts start anew.
const MAX_FAILING: usize = 10_000;

/// Namespace and name of an ActorApp.
type Key = (String, String);

pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    /// Failures in a row, for the pause before the next try. A std mutex: it is never held across an await.
    failures: Mutex<HashMap<Key, u32>>,
}

impl Context {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, metrics: Metrics::new(), failures: Mutex::default() }
    }

    /// Counts a failure and gives how many there were in a row.
    pub(crate) fn count_failure(&self, key: Key) -> u32 {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MAX_FAILING && !failures.contains_key(&key) {
            failures.clear();
        }
        let count = failures.entry(key).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    /// Failures in a row so far.
    pub(crate) fn failures(&self, key: &Key) -> u32 {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0)
    }

    pub(crate) fn forget_failures(&self, key: &Key) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
