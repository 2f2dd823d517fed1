//! Who has its turn next on a thread: these run on one, whose queue is first in, first out.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::Poll;

use super::ends::spawn_by;
use super::*;
use crate::actor::brief::BRIEF;
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

/// An actor spawns some and waits, again and again. How many of each `litter` had the first turn in its own task?
async fn at_once<F>(litters: Vec<Vec<F>>) -> Vec<usize>
where
    F: Future<Output = ExitReason> + Send + 'static,
{
    let system = Arc::<System>::default();
    let (tell, told) = oneshot::channel();
    let (_, exit) = spawn(&system, {
        let system = Arc::clone(&system);
        |own| async move {
            let mut seen = Vec::new();
            for litter in litters {
                let (all, tasks) = (litter.len(), Arc::new(Mutex::new(Vec::new())));
                for body in litter {
                    let tasks = Arc::clone(&tasks);
                    spawn_by(&system, &own, None, async move {
                        tasks.lock().unwrap().push(tokio::task::id());
                        body.await
                    });
                }
                while tasks.lock().unwrap().len() < all {
                    go_behind().await;
                }
                seen.push(tasks.lock().unwrap().iter().filter(|task| **task == tokio::task::id()).count());
            }
            tell.send(seen).unwrap();
            ExitReason::Normal
        }
    });
    assert_eq!(reason(exit).await, ExitReason::Normal);
    system.kill_all().await;
    told.await.unwrap()
}

/// Ends in its first turn, which takes so long.
async fn ends_after(time: Duration) -> ExitReason {
    // The first half of it sets the clock, the second would wait.
    let mut advance = pin!(tokio::time::advance(time));
    poll_fn(|context| {
        assert!(advance.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    ExitReason::Normal
}

#[tokio::test(start_paused = true)]
async fn those_that_end_at_once_as_the_ones_before_have_no_tasks() {
    let litter = || (0..10).map(|_| ends_after(Duration::ZERO)).collect();
    assert_eq!(at_once((0..6).map(|_| litter()).collect()).await, [1, 2, 4, 8, 8, 8]);
}

#[tokio::test(start_paused = true)]
async fn behind_one_that_takes_long_the_others_have_tasks() {
    let litter = |first| vec![ends_after(first), ends_after(BRIEF / 2), ends_after(BRIEF / 2), ends_after(BRIEF / 2)];
    let none = Duration::ZERO;
    // The second one takes what is left of the time; none is tried for a while after that.
    assert_eq!(at_once(vec![litter(none), litter(none), litter(BRIEF / 2), litter(none)]).await, [1, 2, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_on_does_so_in_a_task_of_its_own() {
    let system = Arc::<System>::default();
    let (_, exit) = spawn(&system, {
        let system = Arc::clone(&system);
        |own| async move {
            let mine = tokio::task::id();
            let (_, exit) = spawn_by(&system, &own, None, async move {
                assert_eq!(tokio::task::id(), mine);
                tokio::task::yield_now().await;
                assert_ne!(tokio::task::id(), mine);
                ExitReason::Normal
            });
            assert_eq!(reason(exit).await, ExitReason::Normal);
            ExitReason::Normal
        }
    });
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn those_that_one_without_a_task_has_spawned_have_tasks() {
    let system = Arc::<System>::default();
    let (_, exit) = spawn(&system, {
        let system = Arc::clone(&system);
        |own| async move {
            let (mine, own_system) = (tokio::task::id(), Arc::clone(&system));
            let child = prepare(&system, LIMITS);
            let parent = Arc::clone(&child);
            let (tell, told) = oneshot::channel();
            let body = async move {
                let (_, exit) = spawn_by(&own_system, &parent, None, async move {
                    assert_ne!(tokio::task::id(), mine);
                    ExitReason::Exited(7)
                });
                tell.send(exit).unwrap();
                ExitReason::Normal
            };
            let _exit = system.launch(&child, Some(&own), None, body).unwrap();
            reason(told.await.unwrap()).await
        }
    });
    assert_eq!(reason(exit).await, ExitReason::Exited(7));
}
