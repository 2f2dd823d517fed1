//! A new actor and its spawner: who comes first.

use shuttle::future::yield_now;
use shuttle::sync::atomic::{AtomicBool, Ordering};

use super::runtime::actor::Pause;
use super::*;

/// What an actor does when it spawns, with the mark that its child leaves when it has run.
fn child(system: &Arc<System>, own: &Arc<Actor>, link: Option<i64>) -> (Arc<Actor>, oneshot::Receiver<Exit>, Arc<AtomicBool>) {
    let (actor, has_run) = (prepare(system, LIMITS), Arc::new(AtomicBool::new(false)));
    let mark = Arc::clone(&has_run);
    let body = async move {
        mark.store(true, Ordering::SeqCst);
        ExitReason::Normal
    };
    let exit = system.launch(&actor, Some(own), link, body).unwrap();
    (actor, exit, has_run)
}

/// Guards `Actor::hold_back`: it fails when nobody is held.
#[test]
fn what_a_spawner_does_at_once_comes_before_the_first_instruction() {
    explore(|| {
        let system = Arc::<System>::default();
        // Somebody else who could run.
        let (_, other) = spawn(&system, |_| async { ExitReason::Normal });
        let (_, exit) = spawn(&system, {
            let system = Arc::clone(&system);
            |own| async move {
                let (child, exit, has_run) = child(&system, &own, None);
                child.kill();
                assert_eq!(*exit.await.unwrap().reason, ExitReason::Killed);
                assert!(!has_run.load(Ordering::SeqCst));
                ExitReason::Normal
            }
        });
        assert_eq!((reason(exit), reason(other)), (ExitReason::Normal, ExitReason::Normal));
        assert!(system.is_empty());
    });
}

/// Guards that a pause opens the gate whole.
#[test]
fn a_child_starts_when_its_spawner_waits() {
    explore(|| {
        let system = Arc::<System>::default();
        let (_, exit) = spawn(&system, {
            let system = Arc::clone(&system);
            |own| async move {
                let (_, first, _) = child(&system, &own, None);
                let (_, second, has_run) = child(&system, &own, None);
                assert_eq!(*first.await.unwrap().reason, ExitReason::Normal);
                assert_eq!(*second.await.unwrap().reason, ExitReason::Normal);
                assert!(has_run.load(Ordering::SeqCst));
                ExitReason::Normal
            }
        });
        assert_eq!(reason(exit), ExitReason::Normal);
    });
}

/// Guards the count of slices in `Actor::pass_gate`: one that is not counted, or counted as the last, holds the child for ever.
#[test]
fn a_child_starts_when_its_spawner_has_had_a_whole_slice() {
    explore(|| {
        let system = Arc::<System>::default();
        let (_, exit) = spawn(&system, {
            let system = Arc::clone(&system);
            |own| async move {
                let (_, _, has_run) = child(&system, &own, None);
                while !has_run.load(Ordering::SeqCst) {
                    Pause::SliceOver.note();
                    yield_now().await;
                }
                ExitReason::Normal
            }
        });
        assert_eq!(reason(exit), ExitReason::Normal);
    });
}

/// Guards the gate in `Actor::finish`: of a spawner that ends without having suspended, nothing else opens it.
#[test]
fn a_child_is_let_go_when_its_spawner_ends_at_once() {
    explore(|| {
        let system = Arc::<System>::default();
        let (tell, told) = oneshot::channel();
        let (spawner, exit) = spawn(&system, {
            let system = Arc::clone(&system);
            |own| async move {
                let (_, alone, _) = child(&system, &own, None);
                let (_, linked, _) = child(&system, &own, Some(1));
                drop(tell.send((alone, linked)));
                ExitReason::Exited(1)
            }
        });
        assert_eq!(reason(exit), ExitReason::Exited(1));
        let (alone, linked) = block_on(told).unwrap();
        assert_eq!(reason(alone), ExitReason::Normal);
        let by_link = ExitReason::LinkDied { id: spawner.id(), cause: Some(Arc::new(ExitReason::Exited(1))), last_words: None };
        let linked = reason(linked);
        assert!(linked == by_link || linked == ExitReason::Normal, "{linked:?}");
        assert!(system.is_empty());
    });
}

/// Guards the waker in `Task::poll`, which is in place before the question whether the end was decided.
#[test]
fn a_child_is_let_go_and_hears_of_it_when_its_spawner_is_killed() {
    explore(|| {
        let system = Arc::<System>::default();
        let (tell, told) = oneshot::channel();
        let (spawner, exit) = spawn(&system, {
            let system = Arc::clone(&system);
            |own| async move {
                let child = prepare(&system, LIMITS);
                let linked = system.launch(&child, Some(&own), Some(1), std::future::pending::<ExitReason>()).unwrap();
                drop(tell.send(linked));
                std::future::pending().await
            }
        });
        spawner.kill();
        assert_eq!(reason(exit), ExitReason::Killed);
        // Killed before it could spawn, it has no child.
        if let Ok(child) = block_on(told) {
            let cause = Some(Arc::new(ExitReason::Killed));
            assert_eq!(reason(child), ExitReason::LinkDied { id: spawner.id(), cause, last_words: None });
        }
        assert!(system.is_empty());
    });
}
