//! Restart decisions: policy, intensity and backoff, as pure functions of what happened and when.

use std::collections::VecDeque;
use std::time::Duration;

use perigee_spec::{Restart, RestartPolicy};
use tokio::time::Instant;

use crate::actor::ExitReason;

/// What to do about an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// After so long.
    Restart { after: Duration },
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
    /// Restarts since it last ran for a whole window.
    in_a_row: u32,
    started: Option<Instant>,
}

impl Intensity {
    pub(crate) fn new(restart: &Restart) -> Self {
        Self { restart: restart.clone(), recent: VecDeque::new(), in_a_row: 0, started: None }
    }

    /// It runs from now on.
    pub(crate) fn started(&mut self, now: Instant) {
        self.started = Some(now);
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
        Decision::Restart { after: self.backoff(now) }
    }

    /// Doubled with each restart, until it has run for a whole window.
    fn backoff(&mut self, now: Instant) -> Duration {
        if self.started.is_some_and(|started| now.duration_since(started) >= self.restart.window.0) {
            self.in_a_row = 0;
        }
        let factor = 1u32.checked_shl(self.in_a_row).unwrap_or(u32::MAX);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.restart.backoff.0.saturating_mul(factor).min(self.restart.max_backoff.0)
    }
}

#[cfg(test)]
mod tests {
    use perigee_spec::Window;
    use proptest::prelude::*;

    use super::*;

    fn intensity(policy: RestartPolicy, max_restarts: u32) -> Intensity {
        Intensity::new(&Restart { policy, max_restarts, window: Window(Duration::from_secs(10)), ..Restart::default() })
    }

    fn restarts(decision: Decision) -> bool {
        matches!(decision, Decision::Restart { .. })
    }

    #[test]
    fn the_policy_says_which_ends_call_for_a_restart() {
        let trap = ExitReason::Trap("x".into());
        for (policy, reason, wanted) in [
            (RestartPolicy::Permanent, &ExitReason::Normal, true),
            (RestartPolicy::Permanent, &trap, true),
            (RestartPolicy::Transient, &ExitReason::Normal, false),
            (RestartPolicy::Transient, &ExitReason::Exited(1), true),
            (RestartPolicy::Temporary, &trap, false),
        ] {
            assert_eq!(restarts(intensity(policy, 3).decide(reason, Instant::now())), wanted, "{policy:?} {reason}");
        }
    }

    #[test]
    fn one_restart_more_than_allowed_within_the_window_gives_up() {
        let mut intensity = intensity(RestartPolicy::Permanent, 3);
        let start = Instant::now();
        let mut at = |seconds| intensity.decide(&ExitReason::Normal, start + Duration::from_secs(seconds));
        assert!(restarts(at(0)) && restarts(at(1)) && restarts(at(2)));
        assert_eq!(at(9), Decision::GiveUp);
        assert!(restarts(at(10)), "the first no longer counts");
        assert_eq!(at(10), Decision::GiveUp);
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_is_short_again_after_a_quiet_window() {
        let mut intensity = intensity(RestartPolicy::Permanent, u32::MAX);
        let mut now = Instant::now();
        let mut end_after = |seconds| {
            intensity.started(now);
            now += Duration::from_secs(seconds);
            match intensity.decide(&ExitReason::Normal, now) {
                Decision::Restart { after } => after.as_millis(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([(); 9].map(|()| end_after(1)), [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!((0..40).map(|_| end_after(0)).max(), Some(10_000), "and never overflows");
        assert_eq!(end_after(9), 10_000);
        assert_eq!((end_after(10), end_after(1)), (100, 200));
    }

    proptest! {
        #[test]
        fn no_window_ever_has_more_restarts_than_allowed(max in 0u32..5, gaps in proptest::collection::vec(0u64..8_000, 0..40)) {
            let mut intensity = intensity(RestartPolicy::Permanent, max);
            let mut now = Instant::now();
            let mut all: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if restarts(intensity.decide(&ExitReason::Normal, now)) {
                    all.push(now);
                }
                let within = all.iter().filter(|at| now.duration_since(**at) < Duration::from_secs(10)).count();
                prop_assert!(within <= max as usize);
            }
        }
    }
}
