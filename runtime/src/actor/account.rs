//! One actor's memory, against one bound: what its body has, what is queued for it, and what the host holds for it.

use super::sync::{AtomicU64, Ordering};

/// Bytes in use, and their bound. An account of an actor that has ended counts for nothing, so nobody clears it.
pub(super) struct Account {
    /// The pod's author may change it while the actor lives.
    limit: AtomicU64,
    used: AtomicU64,
}

impl Account {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit: AtomicU64::new(limit), used: AtomicU64::new(0) }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// A lower one than what is in use takes nothing away: there is just no room.
    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn room(&self) -> u64 {
        self.limit().saturating_sub(self.used())
    }

    /// Charges, or says what would be in use in all; nothing is charged then.
    pub(super) fn charge(&self, bytes: u64) -> Result<(), u64> {
        let (mut wanted, limit) = (0, self.limit());
        let charged = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            wanted = used.saturating_add(bytes);
            (wanted <= limit).then_some(wanted)
        });
        charged.map(drop).map_err(|_| wanted)
    }

    /// Charges what cannot be refused.
    pub(super) fn add(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Charges what cannot be refused, until that is dropped.
    pub(super) fn hold(&self, bytes: u64) -> Hold<'_> {
        self.add(bytes);
        Hold { account: self, bytes }
    }

    pub(super) fn release(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "{bytes} bytes were given back, {before} were charged");
    }
}

/// Bytes that are charged as long as it exists.
pub(super) struct Hold<'a> {
    account: &'a Account,
    bytes: u64,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.account.release(self.bytes);
    }
}

#[cfg(test)]
#[cfg(not(interleavings))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_limit_that_falls_below_what_is_in_use_leaves_no_room() {
        let account = Account::new(10);
        account.charge(8).unwrap();
        account.set_limit(4);
        assert_eq!((account.room(), account.charge(1)), (0, Err(9)));
        account.release(6);
        assert_eq!((account.room(), account.charge(2)), (2, Ok(())));
    }

    proptest! {
        #[test]
        fn what_is_charged_and_given_back_never_exceeds_the_bound(limit in 0u64..100, steps in proptest::collection::vec(0u64..60, 0..60)) {
            let account = Account::new(limit);
            let mut held: Vec<u64> = Vec::new();
            for bytes in steps {
                let used: u64 = held.iter().sum();
                match account.charge(bytes) {
                    Ok(()) => held.push(bytes),
                    Err(wanted) => {
                        prop_assert_eq!(wanted, used + bytes);
                        prop_assert!(wanted > limit, "it had room");
                        held.pop().into_iter().for_each(|bytes| account.release(bytes));
                    }
                }
                prop_assert_eq!(account.used(), held.iter().sum::<u64>());
                prop_assert!(account.used() <= limit);
            }
        }
    }
}
