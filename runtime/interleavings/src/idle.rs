//! Idle actors: to be asked to settle changes nothing of what they receive, and nothing of what is seen of them.

use super::*;
use runtime::actor::ActorState;

const MESSAGES: u8 = 2;
/// Enough for one that waits all the time to be asked twice.
const LOOKS: usize = 5;

/// Looks again and again, on a thread of its own.
fn looker(system: &Arc<System>) -> JoinHandle<()> {
    let system = Arc::clone(system);
    start(move || {
        for _ in 0..LOOKS {
            for ids in system.parts() {
                system.ask_idle(&ids);
            }
        }
    })
}

#[test]
fn who_is_asked_to_settle_misses_no_message_and_is_never_seen_to_wait_while_it_runs() {
    explore(|| {
        let system = Arc::<System>::default();
        let world = Arc::clone(&system);
        let (receiver, exit) = spawn(&system, |own| async move {
            for number in 0..MESSAGES {
                assert_eq!(receive(&own).await, (1, number));
                assert_eq!(world.look_at(own.id()).unwrap().info.state, ActorState::Running);
            }
            ExitReason::Normal
        });
        let looker = looker(&system);
        (0..MESSAGES).for_each(|number| send(&receiver, message(1, number)));
        looker.join().unwrap();
        assert_eq!(reason(exit), ExitReason::Normal);
        assert_eq!(receiver.memory(), 0);
    });
}

#[test]
fn who_is_killed_while_it_is_asked_to_settle_ends() {
    explore(|| {
        let system = Arc::<System>::default();
        let (receiver, exit) = spawn(&system, |own| async move {
            receive(&own).await;
            ExitReason::Normal
        });
        let looker = looker(&system);
        receiver.kill();
        looker.join().unwrap();
        assert_eq!(reason(exit), ExitReason::Killed);
        assert!(system.is_empty());
    });
}
