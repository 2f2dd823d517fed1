//! Links and monitors that race with the ends that they are about, and with each other.

use super::*;

/// What an actor has heard, in order: the tag of a link, or "somebody whom it watched has ended".
fn heard(actor: &Actor) -> Vec<Option<i64>> {
    std::iter::from_fn(|| actor.take(&Filter::Any))
        .map(|envelope| {
            actor.release_memory(envelope.cost());
            match envelope {
                Envelope::LinkDied { tag } => Some(tag),
                Envelope::ActorDied(_) => None,
                Envelope::Message(_) => panic!("a message came"),
            }
        })
        .collect()
}

/// One that fails as soon as it runs.
fn failing(system: &Arc<System>) -> (Arc<Actor>, oneshot::Receiver<Exit>) {
    spawn(system, |_| async { ExitReason::Exited(1) })
}

/// Guards `Actor::link`, which asks under both locks whether the other lives, and forgets the old link of one that does not.
#[test]
fn a_link_that_races_with_an_end_is_told_of_it_once() {
    explore(|| {
        let system = Arc::<System>::default();
        let watcher = idle(&system);
        let (failing, exit) = failing(&system);
        watcher.link(&failing, 1).unwrap();
        // The first may have been told of the end already; the second is told of it in any case, and once.
        watcher.link(&failing, 2).unwrap();
        reason(exit);
        let told = heard(&watcher);
        assert!(told == [Some(2)] || told == [Some(1), Some(2)], "{told:?}");
        assert_eq!(watcher.memory(), 0);
        left_alone(&failing);
    });
}

/// Guards `Actor::monitor`, which forgets the old monitor of one that has ended: it answers that one itself.
#[test]
fn a_monitor_that_races_with_an_end_is_told_of_it_once() {
    explore(|| {
        let system = Arc::<System>::default();
        let watcher = idle(&system);
        let (failing, exit) = failing(&system);
        watcher.monitor(&failing).unwrap();
        // The news of either: before the second, or after it, or the second's own.
        watcher.monitor(&failing).unwrap();
        let at_once = heard(&watcher);
        reason(exit);
        let later = heard(&watcher);
        assert_eq!(later, if at_once.is_empty() { vec![None] } else { vec![] }, "after {at_once:?}");
        assert_eq!(watcher.memory(), 0);
        left_alone(&failing);
    });
}

/// Guards `Actor::tell_of_end`, which asks the other side once more before it tells.
#[test]
fn what_was_taken_back_while_the_other_ended_is_told_before_or_not_at_all() {
    explore(|| {
        let system = Arc::<System>::default();
        let watcher = idle(&system);
        let (failing, exit) = failing(&system);
        watcher.link(&failing, 1).unwrap();
        watcher.monitor(&failing).unwrap();
        watcher.unlink(failing.id());
        watcher.stop_monitoring(failing.id());
        let before = heard(&watcher);
        assert!(before.len() <= 2 && before.iter().filter(|told| told.is_none()).count() <= 1, "{before:?}");
        reason(exit);
        assert_eq!(heard(&watcher), []);
        assert_eq!(watcher.memory(), 0);
    });
}

/// Guards the order of `lock_both`, both locks of `Actor::unlink` at once, and what either side forgets.
#[test]
fn links_made_and_taken_back_from_both_sides_leave_nothing() {
    explore(|| {
        let system = Arc::<System>::default();
        let [(first, first_exit), (second, second_exit)] = [(); 2].map(|()| spawn(&system, |_| std::future::pending()));
        let other = {
            let (first, second) = (Arc::clone(&first), Arc::clone(&second));
            start(move || {
                second.link(&first, 1).unwrap();
                second.unlink(first.id());
                second.monitor(&first).unwrap();
            })
        };
        first.link(&second, 2).unwrap();
        first.monitor(&second).unwrap();
        first.stop_monitoring(second.id());
        other.join().unwrap();
        first.unlink(second.id());
        assert_eq!(first.memory(), 0, "neither a link nor a monitor");
        let watched = idle(&system);
        first.monitor(&watched).unwrap();
        // What the first watches, or watched once, holds it no more; what watches it hears of its end by that alone, and lives.
        first.kill();
        assert_eq!(reason(first_exit), ExitReason::Killed);
        left_alone(&first);
        assert_eq!(heard(&second), [None]);
        assert_eq!(second.memory(), 0);
        second.kill();
        assert_eq!(reason(second_exit), ExitReason::Killed);
        left_alone(&second);
    });
}

/// Guards `Actor::link` (both locks at once) and that `Actor::tell_of_end` wakes whom it ends.
#[test]
fn who_is_linked_to_one_that_is_killed_dies_of_it_whatever_happens_meanwhile() {
    explore(|| {
        let system = Arc::<System>::default();
        let (first, first_exit) = spawn(&system, |_| std::future::pending());
        let (second, second_exit) = spawn(&system, |own| async move {
            receive(&own).await;
            std::future::pending().await
        });
        let sender = {
            let second = Arc::clone(&second);
            start(move || send(&second, message(0, 0)))
        };
        first.link(&second, 0).unwrap();
        first.kill();
        assert_eq!(reason(first_exit), ExitReason::Killed);
        let cause = Some(Arc::new(ExitReason::Killed));
        assert_eq!(reason(second_exit), ExitReason::LinkDied { id: first.id(), cause, last_words: None });
        sender.join().unwrap();
        assert!(system.is_empty());
    });
}
