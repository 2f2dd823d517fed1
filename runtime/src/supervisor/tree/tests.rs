use std::time::Duration;

use perigee_spec::{RestartPolicy, Strategy, Window};
use proptest::prelude::*;

use super::*;

fn restart(policy: RestartPolicy, max_restarts: u32) -> Restart {
    Restart { policy, max_restarts, window: Window(Duration::from_secs(10)), ..Restart::default() }
}

/// A tree of Permanent actors, all of them running.
fn tree(strategy: Strategy, children: usize, now: Instant) -> Tree {
    let restart = restart(RestartPolicy::Permanent, 3);
    let mut tree = Tree::new(strategy, std::iter::repeat_n(&restart, children), now);
    assert_eq!(start(&mut tree, now), (0..children).collect::<Vec<_>>());
    tree
}

fn start(tree: &mut Tree, now: Instant) -> Vec<usize> {
    std::iter::from_fn(|| tree.start_next(now)).collect()
}

fn again(kill: &[usize]) -> Verdict {
    Verdict::Again { kill: kill.to_vec() }
}

const SOON: Duration = Duration::from_millis(100);

#[test]
fn one_for_one_starts_the_one_that_ended_and_no_other() {
    let now = Instant::now();
    let mut tree = tree(Strategy::OneForOne, 3, now);
    assert_eq!(tree.ended(1, &ExitReason::Exited(1), now), again(&[]));
    assert!(start(&mut tree, now).is_empty(), "not before its wait is over");
    assert_eq!(tree.next_due(), Some(now + SOON));
    assert_eq!(start(&mut tree, now + SOON), [1]);
}

#[test]
fn rest_for_one_stops_and_starts_those_after_it_in_order() {
    let now = Instant::now();
    let mut tree = tree(Strategy::RestForOne, 4, now);
    assert_eq!(tree.ended(1, &ExitReason::Exited(1), now), again(&[3, 2]), "the last one first");
    assert_eq!(tree.ended(3, &ExitReason::Killed, now), again(&[]));
    assert!(start(&mut tree, now + SOON).is_empty(), "one is not stopped yet");
    assert_eq!(tree.ended(2, &ExitReason::Killed, now + SOON), again(&[]));
    assert_eq!(start(&mut tree, now + SOON), [1, 2, 3]);
}

#[test]
fn one_for_all_stops_and_starts_all_in_order() {
    let now = Instant::now();
    let mut tree = tree(Strategy::OneForAll, 3, now);
    assert_eq!(tree.ended(1, &ExitReason::Exited(1), now), again(&[2, 0]));
    tree.ended(0, &ExitReason::Killed, now);
    tree.ended(2, &ExitReason::Killed, now);
    assert!(start(&mut tree, now).is_empty(), "all wait for the one that failed");
    assert_eq!(start(&mut tree, now + SOON), [0, 1, 2]);
}

#[test]
fn one_that_was_stopped_with_others_spends_none_of_its_own_restarts() {
    let now = Instant::now();
    let mut tree = tree(Strategy::OneForAll, 2, now);
    for round in 0..3 {
        let now = now + round * Duration::from_secs(1);
        assert_eq!(tree.ended(0, &ExitReason::Exited(1), now), again(&[1]));
        tree.ended(1, &ExitReason::Killed, now);
        start(&mut tree, now + Duration::from_millis(900));
    }
    let now = now + Duration::from_secs(4);
    assert_eq!(tree.ended(1, &ExitReason::Exited(1), now), again(&[0]));
    tree.ended(0, &ExitReason::Killed, now);
    start(&mut tree, now + SOON);
    assert_eq!(tree.ended(0, &ExitReason::Exited(1), now + SOON), Verdict::GiveUp);
}

#[test]
fn what_ended_for_good_is_started_by_nobody() {
    let now = Instant::now();
    let restarts = [restart(RestartPolicy::Temporary, 3), restart(RestartPolicy::Permanent, 3)];
    let mut tree = Tree::new(Strategy::OneForAll, restarts.iter(), now);
    start(&mut tree, now);
    assert_eq!(tree.ended(0, &ExitReason::Exited(1), now), Verdict::Done);
    assert_eq!(tree.ended(1, &ExitReason::Exited(1), now), again(&[]));
    assert_eq!(start(&mut tree, now + SOON), [1]);
    assert!(!tree.is_done());
}

fn strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![Just(Strategy::OneForOne), Just(Strategy::RestForOne), Just(Strategy::OneForAll)]
}

proptest! {
    /// Whatever ends and when: unless the tree gives up, all run again once enough time has passed, and none is started
    /// while it runs or before those that it is bound to have stopped.
    #[test]
    fn all_run_again_after_whatever_ended(strategy in strategy(), ends in proptest::collection::vec((0usize..4, 0u64..3_000), 0..30)) {
        let mut now = Instant::now();
        let mut tree = tree(strategy, 4, now);
        let mut runs = [true; 4];
        for (index, wait) in ends {
            now += Duration::from_millis(wait);
            while let Some(started) = tree.start_next(now) {
                prop_assert!(!std::mem::replace(&mut runs[started], true), "it runs already");
            }
            if !std::mem::replace(&mut runs[index], false) {
                continue;
            }
            match tree.ended(index, &ExitReason::Exited(1), now) {
                Verdict::GiveUp => return Ok(()),
                Verdict::Done => prop_assert!(false, "they are permanent"),
                Verdict::Again { kill } => for other in kill {
                    prop_assert!(std::mem::replace(&mut runs[other], false));
                    prop_assert_eq!(tree.ended(other, &ExitReason::Killed, now), again(&[]));
                }
            }
        }
        now += Duration::from_secs(60);
        for started in start(&mut tree, now) {
            prop_assert!(!std::mem::replace(&mut runs[started], true));
        }
        prop_assert_eq!(runs, [true; 4]);
    }
}
