//! Restart decisions: policy and intensity, as pure functions of what happened and when.

use std::collections::VecDeque;

use perigee_spec::{Restart, RestartPolicy};
use tokio::time::Instant;

use crate::actor::ExitReason;

/// What to do about an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Restart,
    /// No restart is wanted.
    Done,
    /// One is wanted, but there were too many.
    GiveUp,
}

/// The restarts of one actor that still count.
#[derive(Debug)]
pub(crate) struct Intensity {
    restart: Restart,
    recent: VecDeque<Instant>,
}

impl Intensity {
    pub(crate) fn new(restart: &Restart) -> Self {
        Self { restart: restart.clone(), recent: VecDeque::new() }
    }

    pub(crate) fn decide(&mut self, reason: &ExitReason, now: Instant) -> Decision {
        let wanted = match self.restart.policy {
            RestartPolicy::Permanent => true,
            RestartPolicy::Transient => !reason.is_normal(),
            RestartPolicy::Temporary => false,
        };
        if !wanted {
            return Decision::Done;
        }
        let counts = |at: &Instant| now.duration_since(*at) < self.restart.window.0;
        while self.recent.front().is_some_and(|at| !counts(at)) {
            self.recent.pop_front();
        }
        if self.recent.len() >= usize::try_from(self.restart.max_restarts).unwrap_or(usize::MAX) {
            return Decision::GiveUp;
        }
        self.recent.push_back(now);
        Decision::Restart
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perigee_spec::Window;
    use proptest::prelude::*;

    use super::*;

    fn intensity(policy: RestartPolicy, max_restarts: u32) -> Intensity {
        Intensity::new(&Restart { policy, max_restarts, window: Window(Duration::from_secs(10)) })
    }

    #[test]
    fn the_policy_says_which_ends_call_for_a_restart() {
        let trap = ExitReason::Trap("x".into());
        for (policy, reason, decision) in [
            (RestartPolicy::Permanent, &ExitReason::Normal, Decision::Restart),
            (RestartPolicy::Permanent, &trap, Decision::Restart),
            (RestartPolicy::Transient, &ExitReason::Normal, Decision::Done),
            (RestartPolicy::Transient, &ExitReason::Exited(1), Decision::Restart),
            (RestartPolicy::Temporary, &trap, Decision::Done),
        ] {
            assert_eq!(intensity(policy, 3).decide(reason, Instant::now()), decision, "{policy:?} {reason}");
        }
    }

    #[test]
    fn one_restart_more_than_allowed_within_the_window_gives_up() {
        let mut intensity = intensity(RestartPolicy::Permanent, 3);
        let start = Instant::now();
        let mut at = |seconds| intensity.decide(&ExitReason::Normal, start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(2)], [Decision::Restart; 3]);
        assert_eq!(at(9), Decision::GiveUp);
        assert_eq!(at(10), Decision::Restart, "the first no longer counts");
        assert_eq!(at(10), Decision::GiveUp);
    }

    proptest! {
        #[test]
        fn no_window_ever_has_more_restarts_than_allowed(max in 0u32..5, gaps in proptest::collection::vec(0u64..8_000, 0..40)) {
            let mut intensity = intensity(RestartPolicy::Permanent, max);
            let mut now = Instant::now();
            let mut restarts: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if intensity.decide(&ExitReason::Normal, now) == Decision::Restart {
                    restarts.push(now);
                }
                let within = restarts.iter().filter(|at| now.duration_since(**at) < Duration::from_secs(10)).count();
                prop_assert!(within <= max as usize);
            }
        }
    }
}
