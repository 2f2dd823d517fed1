//! Mailboxes: nobody who waits for a message or for room is forgotten, and nothing is overtaken.

use super::*;

/// Messages of each sender.
const EACH: u8 = 3;

/// Two threads that send [`EACH`] messages, numbered, under a tag of their own.
fn senders(receiver: &Arc<Actor>) -> Vec<JoinHandle<()>> {
    let sender = |tag| {
        let receiver = Arc::clone(receiver);
        start(move || (0..EACH).for_each(|number| send(&receiver, message(tag, number))))
    };
    (1..3).map(sender).collect()
}

/// The numbers of one sender's messages are those that are expected next.
#[derive(Default)]
struct Expected([u8; 3]);

impl Expected {
    fn check(&mut self, (tag, number): (i64, u8)) {
        let next = &mut self.0[usize::try_from(tag).unwrap()];
        assert_eq!(number, *next, "of sender {tag}");
        *next += 1;
    }
}

#[test]
fn nobody_waits_for_ever_at_a_mailbox_that_is_full_now_and_then() {
    explore(|| {
        let system = Arc::<System>::default();
        let (receiver, exit) = spawn(&system, |own| async move {
            let mut expected = Expected::default();
            for _ in 0..2 * EACH {
                expected.check(receive(&own).await);
            }
            ExitReason::Normal
        });
        for sender in senders(&receiver) {
            sender.join().unwrap();
        }
        assert_eq!(reason(exit), ExitReason::Normal);
        assert_eq!(receiver.memory(), 0);
    });
}

/// Two actors fill a mailbox of 8 shares, of two messages each, and send on in turns.
#[test]
fn senders_that_take_turns_all_come_to_their_end_and_none_overtakes_itself() {
    const EACH: u8 = 12;
    explore(|| {
        let system = Arc::<System>::default();
        let share = 2 * message(0, 0).cost();
        let receiver = prepare(&system, ActorLimits { mailbox: 8 * share, ..LIMITS });
        let own = Arc::clone(&receiver);
        let body = async move {
            let mut expected = Expected::default();
            for _ in 0..2 * EACH {
                expected.check(receive(&own).await);
            }
            ExitReason::Normal
        };
        let exit = system.launch(&receiver, None, None, body).unwrap();
        let senders = [1, 2].map(|tag| {
            let receiver = Arc::clone(&receiver);
            spawn(&system, |own| async move {
                for number in 0..EACH {
                    receiver.send(message(tag, number), Some(&own)).await.unwrap();
                }
                ExitReason::Normal
            })
        });
        for (_, exit) in senders {
            assert_eq!(reason(exit), ExitReason::Normal);
        }
        assert_eq!(reason(exit), ExitReason::Normal);
        assert_eq!(receiver.memory(), 0);
    });
}

#[test]
fn a_receive_that_is_given_up_loses_nothing_and_changes_no_order() {
    explore(|| {
        let system = Arc::<System>::default();
        let actor = prepare(&system, ActorLimits { mailbox: 1 << 10, ..LIMITS });
        let own = Arc::clone(&actor);
        let body = async move {
            let mut expected = Expected::default();
            for _ in 0..2 * EACH {
                let received = match once(own.receive(Filter::Any, None)).await {
                    Some(envelope) => open(&own, envelope),
                    None => receive(&own).await,
                };
                expected.check(received);
            }
            ExitReason::Normal
        };
        let exit = system.launch(&actor, None, None, body).unwrap();
        for sender in senders(&actor) {
            sender.join().unwrap();
        }
        assert_eq!(reason(exit), ExitReason::Normal);
        assert_eq!(actor.memory(), 0);
    });
}

#[test]
fn a_call_gets_a_reply_that_comes_at_once_past_a_full_mailbox() {
    const REPLY: i64 = 7;
    explore(|| {
        let system = Arc::<System>::default();
        let (caller, exit) = spawn(&system, |own| async move {
            let replier = Arc::clone(&own);
            let ask = async move {
                // By another thread, while the caller goes on to wait.
                drop(start(move || send(&replier, message(REPLY, 0))));
                Ok::<_, ()>(())
            };
            own.send_and_wait(REPLY, ask).await.unwrap();
            let reply = own.wait_on(Began::Before, None::<std::future::Pending<()>>).await;
            assert_eq!(open(&own, reply), (REPLY, 0));
            for _ in 0..EACH {
                receive(&own).await;
            }
            ExitReason::Normal
        });
        let others = {
            let caller = Arc::clone(&caller);
            start(move || (0..EACH).for_each(|number| send(&caller, message(1, number))))
        };
        others.join().unwrap();
        assert_eq!(reason(exit), ExitReason::Normal);
        assert_eq!(caller.memory(), 0);
    });
}

#[test]
fn nobody_overtakes_a_sender_that_waits() {
    explore(|| {
        let system = Arc::<System>::default();
        let receiver = prepare(&system, LIMITS);
        send(&receiver, message(0, 0));
        let mut waits = Box::pin(receiver.send(message(1, 0), None));
        assert!(block_on(once(waits.as_mut())).is_none(), "there is no room");
        let own = Arc::clone(&receiver);
        let body = async move {
            for sender in 0..3 {
                assert_eq!(receive(&own).await, (sender, 0));
            }
            ExitReason::Normal
        };
        let exit = system.launch(&receiver, None, None, body).unwrap();
        let comes_later = {
            let receiver = Arc::clone(&receiver);
            start(move || send(&receiver, message(2, 0)))
        };
        block_on(waits).unwrap();
        comes_later.join().unwrap();
        assert_eq!(reason(exit), ExitReason::Normal);
    });
}

#[test]
fn a_sender_that_is_killed_while_it_waits_lets_the_next_one_in() {
    explore(|| {
        let system = Arc::<System>::default();
        let (receiver, exit) = spawn(&system, |own| async move {
            while receive(&own).await.0 != 2 {}
            ExitReason::Normal
        });
        send(&receiver, message(0, 0));
        let sender = |tag| {
            let receiver = Arc::clone(&receiver);
            spawn(&system, move |own| async move {
                receiver.send(message(tag, 0), Some(&own)).await.unwrap();
                ExitReason::Normal
            })
        };
        let ((killed, killed_exit), (_, lets_in)) = (sender(1), sender(2));
        killed.kill();
        assert!(matches!(reason(killed_exit), ExitReason::Killed | ExitReason::Normal));
        assert_eq!(reason(lets_in), ExitReason::Normal);
        assert_eq!(reason(exit), ExitReason::Normal);
    });
}

#[test]
fn senders_that_wait_hear_of_the_receivers_end() {
    explore(|| {
        let system = Arc::<System>::default();
        let (receiver, exit) = spawn(&system, |own| async move {
            receive(&own).await;
            ExitReason::Exited(1)
        });
        for sender in senders(&receiver) {
            sender.join().unwrap();
        }
        assert_eq!(reason(exit), ExitReason::Exited(1));
        send(&receiver, message(1, 0));
        assert!(receiver.take(&Filter::Any).is_none(), "nothing reaches one that has ended");
    });
}
