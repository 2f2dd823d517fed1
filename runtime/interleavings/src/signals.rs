//! Kills, and the news that the app stops.

use shuttle::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Guards `Task::poll`: the waker is in place before the question whether the end was decided.
#[test]
fn a_kill_ends_an_actor_that_waits() {
    explore(|| {
        let system = Arc::<System>::default();
        let (actor, exit) = spawn(&system, |own| async move {
            receive(&own).await;
            std::future::pending().await
        });
        let sender = {
            let actor = Arc::clone(&actor);
            start(move || send(&actor, message(0, 0)))
        };
        actor.kill();
        assert_eq!(reason(exit), ExitReason::Killed);
        sender.join().unwrap();
        assert!(system.is_empty());
    });
}

/// Guards `Actor::finish`, where an end that was decided comes before its own.
#[test]
fn after_a_kill_no_other_end_comes_first() {
    explore(|| {
        let system = Arc::<System>::default();
        let is_killed = Arc::new(AtomicBool::new(false));
        let saw = Arc::clone(&is_killed);
        let (actor, exit) = spawn(&system, |own| async move {
            receive(&own).await;
            // It runs on until the kill was sent, and ends by itself in the same poll.
            while !saw.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            ExitReason::Exited(1)
        });
        send(&actor, message(0, 0));
        actor.kill();
        is_killed.store(true, Ordering::SeqCst);
        assert_eq!(reason(exit), ExitReason::Killed);
    });
}

/// Guards `Actor::decide_end`, where the first decision stands, and the locks that two ends take to tell each other.
#[test]
fn of_two_ends_that_are_decided_at_once_one_counts() {
    explore(|| {
        let system = Arc::<System>::default();
        let (actor, exit) = spawn(&system, |_| std::future::pending());
        let (peer, peer_exit) = spawn(&system, |own| async move {
            receive(&own).await;
            ExitReason::Exited(1)
        });
        actor.link(&peer, 0).unwrap();
        let marks = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let killer = {
            let (actor, marks) = (Arc::clone(&actor), Arc::clone(&marks));
            start(move || {
                marks[0].store(true, Ordering::SeqCst);
                actor.kill();
                marks[1].store(true, Ordering::SeqCst);
            })
        };
        let is_killed = marks[1].load(Ordering::SeqCst);
        send(&peer, message(0, 0));
        let peers = reason(peer_exit);
        let is_alive = !marks[0].load(Ordering::SeqCst);
        killer.join().unwrap();
        let cause = Some(Arc::new(ExitReason::Exited(1)));
        let by_link = ExitReason::LinkDied { id: peer.id(), cause, last_words: None };
        let own = reason(exit);
        assert!(own == ExitReason::Killed || own == by_link, "{own:?}");
        assert!(!is_killed || own == ExitReason::Killed, "it was killed before the other ended");
        assert!(!is_alive || own == by_link, "the other had ended before it was killed");
        assert!(peers == ExitReason::Exited(1) || matches!(peers, ExitReason::LinkDied { .. }), "{peers:?}");
        assert!(own == ExitReason::Killed || peers == ExitReason::Exited(1), "each died of the other");
    });
}

/// Guards both sides of `stop.rs`: the message is in place before one side asks whether the app stops, which the other says
/// before it looks for messages; and who finds it takes it.
#[test]
fn who_asks_while_the_app_stops_is_told_once() {
    explore(|| {
        let system = Arc::<System>::default();
        let actor = idle(&system);
        let stops = {
            let system = Arc::clone(&system);
            start(move || system.tell_of_stop())
        };
        system.on_stop(&actor, message(5, 1)).unwrap();
        assert!(stops.join().unwrap() <= 1);
        assert_eq!(open(&actor, actor.take(&Filter::Any)), (5, 1));
        assert!(actor.take(&Filter::Any).is_none());
        assert_eq!(actor.memory(), 0);
    });
}
