//! Who has its turn next on a thread: these run on one, whose queue is first in, first out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::*;
use crate::actor::gate::go_behind;

/// One actor wakes another with a message, then `pauses`, while a task waits in the queue. Who came first?
async fn first<F: Future<Output = ()> + Send + 'static>(pauses: impl FnOnce(Arc<Actor>) -> F) -> &'static str {
    let (system, order) = (Arc::<System>::default(), Arc::new(Mutex::new(Vec::new())));
    let note = |who| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(who)
    };
    let (note_woken, note_queued) = (note("woken"), note("queued"));
    let (woken, woken_exit) = spawn(&system, |own| async move {
        own.receive(Filter::Any, None).await;
        note_woken();
        ExitReason::Normal
    });
    let (wakes, _) = spawn(&system, |own| {
        let pauses = pauses(Arc::clone(&own));
        async move {
            own.receive(Filter::Any, None).await;
            woken.send(message(0, b"x"), Some(&own)).await.unwrap();
            pauses.await;
            ExitReason::Normal
        }
    });
    tokio::task::yield_now().await;
    wakes.send(message(0, b"go"), None).await.unwrap();
    tokio::spawn(async move { note_queued() });
    reason(woken_exit).await;
    tokio::task::yield_now().await;
    system.kill_all().await;
    order.lock().unwrap()[0]
}

#[tokio::test]
async fn whom_one_has_woken_that_waits_for_a_message_is_next() {
    let waits = |own: Arc<Actor>| async move { drop(own.receive(Filter::Any, None).await) };
    assert_eq!(first(waits).await, "woken");
}

#[tokio::test]
async fn whom_one_has_woken_that_has_ended_is_next() {
    assert_eq!(first(|_| async {}).await, "woken");
}

#[tokio::test]
async fn whom_one_has_woken_that_goes_on_soon_is_not() {
    assert_eq!(first(|_| go_behind()).await, "queued");
}

#[tokio::test]
async fn two_that_talk_let_others_have_their_turn() {
    const ROUNDS: usize = 1_000;
    async fn receive(own: &Actor) {
        let received = own.receive(Filter::Any, None).await.unwrap();
        own.release_memory(received.cost());
    }
    let (system, rounds, asks) = (Arc::<System>::default(), Arc::new(AtomicUsize::new(0)), Arc::new(OnceLock::new()));
    let (answers, _) = spawn(&system, |own| {
        let asks: Arc<OnceLock<Arc<Actor>>> = Arc::clone(&asks);
        async move {
            loop {
                receive(&own).await;
                asks.get().unwrap().send(message(0, b"answer"), Some(&own)).await.unwrap();
            }
        }
    });
    let (asking, exit) = spawn(&system, |own| {
        let rounds = Arc::clone(&rounds);
        async move {
            while rounds.fetch_add(1, Ordering::Relaxed) < ROUNDS {
                answers.send(message(0, b"question"), Some(&own)).await.unwrap();
                receive(&own).await;
            }
            ExitReason::Normal
        }
    });
    asks.set(asking).unwrap();
    let seen = Arc::clone(&rounds);
    let seen = tokio::spawn(async move { seen.load(Ordering::Relaxed) }).await.unwrap();
    assert!(0 < seen && seen < ROUNDS / 2, "{seen} rounds before another task had its turn");
    assert_eq!(reason(exit).await, ExitReason::Normal);
    system.kill_all().await;
}
