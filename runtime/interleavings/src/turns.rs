//! Turns: whom one actor has next on its thread may have a turn on another one just then.

use super::*;

/// Guards `Body::try_lock`, which leaves word for whoever has the body, and `Actor::take_turn`, which looks for it.
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
