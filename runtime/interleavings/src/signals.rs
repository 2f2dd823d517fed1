//! Kills, and the news that the app stops.

use shuttle::sync::atomic::{AtomicBool, Ordering};

use super::*;

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
        send(&peer, message(0, 0));
        actor.kill();
        let cause = Some(Arc::new(ExitReason::Exited(1)));
        let by_link = ExitReason::LinkDied { id: peer.id(), cause, last_words: None };
        let own = reason(exit);
        assert!(own == ExitReason::Killed || own == by_link, "{own:?}");
        let peers = reason(peer_exit);
        assert!(peers == ExitReason::Exited(1) || matches!(peers, ExitReason::LinkDied { .. }), "{peers:?}");
        assert!(own == ExitReason::Killed || peers == ExitReason::Exited(1), "each died of the other");
    });
}

#[test]
fn who_asks_while_the_app_stops_is_told_once() {
    explore(|| {
        let system = Arc::<System>::default();
        let (actor, exit) = spawn(&system, |own| async move {
            assert_eq!(receive(&own).await, (5, 1));
            ExitReason::Normal
        });
        let stops = {
            let system = Arc::clone(&system);
            start(move || system.tell_of_stop())
        };
        system.on_stop(&actor, message(5, 1)).unwrap();
        assert_eq!(reason(exit), ExitReason::Normal);
        assert!(stops.join().unwrap() <= 1);
        assert!(actor.take(&Filter::Any).is_none());
        assert_eq!(actor.memory(), 0);
    });
}
