//! Turns: whom one actor has next on its thread may have a turn on another one just then.

use super::*;

/// Guards `Actor::take_body`, which leaves word for whoever has the body, and `Actor::take_turn`, which looks for it.
#[test]
fn whoever_is_woken_while_it_has_a_turn_has_another_one() {
    const EACH: u8 = 2;
    explore(|| {
        let system = Arc::<System>::default();
        let (receiver, exit) = spawn(&system, |own| async move {
            for _ in 0..2 * EACH {
                receive(&own).await;
            }
            ExitReason::Normal
        });
        let senders = [1, 2].map(|tag| {
            let receiver = Arc::clone(&receiver);
            let sends = |own: Arc<Actor>| async move {
                for number in 0..EACH {
                    receiver.send(message(tag, number), Some(&own)).await.unwrap();
                }
                // The receiver is next, behind this one.
                ExitReason::Normal
            };
            spawn(&system, sends).1
        });
        for sender in senders {
            assert_eq!(reason(sender), ExitReason::Normal);
        }
        assert_eq!(reason(exit), ExitReason::Normal);
        assert_eq!(receiver.memory(), 0);
        left_alone(&receiver);
    });
}

/// One that its spawner lets go right away, for that waits: the spawner, and what it spawned.
fn let_go<F>(
    system: &Arc<System>,
    body: impl FnOnce(Arc<Actor>) -> F + Send + 'static,
) -> (Arc<Actor>, Arc<Actor>, oneshot::Receiver<Exit>)
where
    F: Future<Output = ExitReason> + Send + 'static,
{
    let (tell, told) = oneshot::channel();
    let (spawner, _) = spawn(system, {
        let system = Arc::clone(system);
        |own| async move {
            let child = prepare(&system, LIMITS);
            let exit = system.launch(&child, Some(&own), None, body(Arc::clone(&child))).unwrap();
            drop(tell.send((child, exit)));
            std::future::pending().await
        }
    });
    let (child, exit) = block_on(told).unwrap();
    (spawner, child, exit)
}

/// Guards `first_turns`, which gives a task to who does not end.
#[test]
fn one_that_waits_in_its_first_turn_hears_of_what_comes_before_it_has_a_task() {
    explore(|| {
        let system = Arc::<System>::default();
        let (_, child, exit) = let_go(&system, |own| async move {
            receive(&own).await;
            receive(&own).await;
            ExitReason::Exited(7)
        });
        send(&child, message(1, 1));
        let sends = {
            let child = Arc::clone(&child);
            |own: Arc<Actor>| async move {
                child.send(message(1, 2), Some(&own)).await.unwrap();
                ExitReason::Normal
            }
        };
        let (_, sent) = spawn(&system, sends);
        assert_eq!((reason(sent), reason(exit)), (ExitReason::Normal, ExitReason::Exited(7)));
        left_alone(&child);
    });
}

/// As above: its end is decided by others meanwhile.
#[test]
fn one_that_waits_in_its_first_turn_is_killed_before_it_has_a_task() {
    explore(|| {
        let system = Arc::<System>::default();
        let (spawner, child, exit) = let_go(&system, |_| std::future::pending());
        child.kill();
        assert_eq!(reason(exit), ExitReason::Killed);
        left_alone(&child);
        spawner.kill();
        left_alone(&spawner);
        assert!(system.is_empty());
    });
}
