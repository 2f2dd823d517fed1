//! How many actors may be alive below an actor: its own children, and theirs.

use std::sync::Arc;

use super::sync::{AtomicU32, Ordering};

/// A count with a bound, inside the counts of all that stand above it.
#[derive(Debug)]
pub struct Quota {
    above: Option<Arc<Self>>,
    max: u32,
    live: AtomicU32,
}

/// The bound that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{max} actors are alive below it already (limits.actors)")]
pub struct QuotaExceeded {
    /// The bound.
    pub max: u32,
}

/// One actor's place in a quota; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Charge(Arc<Quota>);

impl Quota {
    /// A quota of `max` actors, which also count in `above`.
    #[must_use]
    pub fn new(max: u32, above: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { above, max, live: AtomicU32::new(0) })
    }

    /// Actors that are alive in it.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    /// The bound.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }

    pub(super) fn charge(self: &Arc<Self>) -> Result<Charge, QuotaExceeded> {
        for (taken, quota) in self.and_above().enumerate() {
            let added =
                quota.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| (live < quota.max).then_some(live + 1));
            if added.is_err() {
                self.and_above().take(taken).for_each(Self::give_back);
                return Err(QuotaExceeded { max: quota.max });
            }
        }
        Ok(Charge(Arc::clone(self)))
    }

    /// This one and all that it counts in.
    fn and_above(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |quota| quota.above.as_deref())
    }

    fn give_back(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.and_above().for_each(Quota::give_back);
    }
}

#[cfg(test)]
#[cfg(not(interleavings))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_child_counts_in_every_quota_above_it() {
        let top = Quota::new(2, None);
        let below = Quota::new(5, Some(Arc::clone(&top)));
        let first = below.charge().unwrap();
        let _second = top.charge().unwrap();
        assert_eq!(below.charge().unwrap_err(), QuotaExceeded { max: 2 });
        assert_eq!((top.live(), below.live()), (2, 1), "a refused charge leaves no trace");
        drop(first);
        assert_eq!((top.live(), below.live()), (1, 0));
    }

    proptest! {
        #[test]
        fn whatever_is_charged_and_dropped_never_exceeds_a_bound(max in 0u32..6, inner in 0u32..6, steps in proptest::collection::vec(any::<(bool, bool)>(), 0..60)) {
            let top = Quota::new(max, None);
            let below = Quota::new(inner, Some(Arc::clone(&top)));
            let (mut tops, mut belows) = (Vec::new(), Vec::new());
            for (add, deep) in steps {
                match (add, deep) {
                    (true, true) => belows.extend(below.charge()),
                    (true, false) => tops.extend(top.charge()),
                    (false, true) => drop(belows.pop()),
                    (false, false) => drop(tops.pop()),
                }
                prop_assert_eq!(below.live() as usize, belows.len());
                prop_assert_eq!(top.live() as usize, belows.len() + tops.len());
                prop_assert!(top.live() <= max && below.live() <= inner);
            }
        }
    }
}
