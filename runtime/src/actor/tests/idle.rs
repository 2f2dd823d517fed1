//! Who is asked to settle, and how often.

use std::future::{Pending, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::idle::Looked;
use super::*;

const NOTHING: Looked = Looked { waiting: 0, asked: 0 };
const WAITS: Looked = Looked { waiting: 1, asked: 0 };
const ASKED: Looked = Looked { waiting: 0, asked: 1 };

/// Looks at all, and lets those do what they want that were woken.
async fn look(system: &System) -> Looked {
    let looked = system
        .parts()
        .map(|ids| system.ask_idle(&ids))
        .fold(NOTHING, |sum, part| Looked { waiting: sum.waiting + part.waiting, asked: sum.asked + part.asked });
    tokio::task::yield_now().await;
    looked
}

/// Receives without end, and counts how often it was asked.
fn receiver(system: &Arc<System>) -> (Arc<Actor>, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let (actor, _exit) = spawn(system, |own| async move {
        loop {
            if own.take_or_wait(Filter::Any).is_none() {
                while let Waited::Asked = own.waited(Began::Now, pin!(None::<Pending<()>>)).await {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    (actor, asked)
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_message_is_asked_once_and_each_time_later() {
    let system = Arc::<System>::default();
    let (actor, asked) = receiver(&system);
    assert_eq!(look(&system).await, NOTHING, "it has not begun");
    for (times, looks) in (1..).zip([1, 2, 4, 8, 16, 32, 64, 64, 64]) {
        for _ in 0..looks {
            assert_eq!(look(&system).await, WAITS);
        }
        assert_eq!(look(&system).await, ASKED);
        assert_eq!(asked.load(Ordering::Relaxed), times);
        assert_eq!(look(&system).await, NOTHING, "it has settled");
        let info = system.look_at(actor.id()).unwrap().info;
        assert_eq!(info.state, ActorState::Receiving);
        actor.send(message(0, b""), None).await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_something_else_is_not_asked() {
    let system = Arc::<System>::default();
    let polls = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&polls);
    let (_, _exit) = spawn(&system, |_| {
        let mut body = Box::pin(forever());
        std::future::poll_fn(move |context| {
            count.fetch_add(1, Ordering::Relaxed);
            body.as_mut().poll(context)
        })
    });
    tokio::task::yield_now().await;
    assert_eq!(look(&system).await, WAITS);
    assert_eq!((look(&system).await, look(&system).await), (NOTHING, NOTHING));
    assert_eq!(polls.load(Ordering::Relaxed), 1, "nobody wakes it");
}

#[tokio::test(start_paused = true)]
async fn who_gets_a_message_when_it_is_asked_goes_on_and_does_not_settle() {
    let system = Arc::<System>::default();
    let (actor, asked) = receiver(&system);
    tokio::task::yield_now().await;
    assert_eq!(look(&system).await, WAITS);
    // It was woken, and has not run yet.
    assert_eq!(system.ask_idle(&[actor.id()]), ASKED);
    actor.send(message(0, b""), None).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(look(&system).await, WAITS);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_wait_that_was_asked_to_settle() {
    let system = Arc::<System>::default();
    let (_, exit) = spawn(&system, |own| async move {
        assert!(own.receive(Filter::Any, Some(Duration::from_secs(10))).await.is_none());
        ExitReason::Normal
    });
    let began = tokio::time::Instant::now();
    tokio::task::yield_now().await;
    assert_eq!((look(&system).await, look(&system).await), (WAITS, ASKED));
    assert_eq!(reason(exit).await, ExitReason::Normal);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_settled_is_killed_as_any_other() {
    let system = Arc::<System>::default();
    let (actor, exit) = spawn(&system, |own| async move {
        own.take_or_wait(Filter::Any);
        while let Waited::Asked = own.waited(Began::Now, pin!(None::<Pending<()>>)).await {}
        pending().await
    });
    tokio::task::yield_now().await;
    assert_eq!((look(&system).await, look(&system).await), (WAITS, ASKED));
    actor.kill();
    assert_eq!(reason(exit).await, ExitReason::Killed);
    assert!(system.is_empty());
}
