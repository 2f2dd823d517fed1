//! Ends, links and monitors: what comes before what.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

fn notice(envelope: Option<Envelope>) -> Option<Result<i64, ActorId>> {
    match envelope? {
        Envelope::LinkDied { tag } => Some(Ok(tag)),
        Envelope::ActorDied(id) => Some(Err(id)),
        Envelope::Message(_) => panic!("a message came"),
    }
}

async fn dead(system: &Arc<System>) -> Arc<Actor> {
    let (actor, exit) = spawn(system, |_| async { ExitReason::Normal });
    reason(exit).await;
    actor
}

/// Spawns as an actor does.
pub(super) fn spawn_by<F>(
    system: &Arc<System>,
    spawner: &Arc<Actor>,
    link: Option<i64>,
    body: F,
) -> (Arc<Actor>, oneshot::Receiver<Exit>)
where
    F: Future<Output = ExitReason> + Send + 'static,
{
    let actor = prepare(system, LIMITS);
    let exit = system.launch(&actor, Some(spawner), link, body).unwrap();
    (actor, exit)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_the_spawn_comes_before_the_first_instruction() {
    let system = Arc::<System>::default();
    let ran = Arc::new(AtomicBool::new(false));
    let (_, exit) = spawn(&system, {
        let (system, ran) = (Arc::clone(&system), Arc::clone(&ran));
        |own| async move {
            for _ in 0..2_000 {
                let ran = Arc::clone(&ran);
                let (child, exit) = spawn_by(&system, &own, None, async move {
                    ran.store(true, Ordering::Relaxed);
                    ExitReason::Normal
                });
                // Time for the other thread to take it.
                std::hint::black_box((0..2_000u64).sum::<u64>());
                child.kill();
                assert_eq!(reason(exit).await, ExitReason::Killed);
            }
            ExitReason::Normal
        }
    });
    assert_eq!(reason(exit).await, ExitReason::Normal);
    assert!(!ran.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spawner_that_goes_on_computing_lets_its_children_start_after_a_slice() {
    let system = Arc::<System>::default();
    let started = Arc::new(AtomicBool::new(false));
    let (_, exit) = spawn(&system, {
        let (system, started) = (Arc::clone(&system), Arc::clone(&started));
        |own| async move {
            let mark = Arc::clone(&started);
            let (_child, _exit) = spawn_by(&system, &own, None, async move {
                mark.store(true, Ordering::Relaxed);
                ExitReason::Normal
            });
            while !started.load(Ordering::Relaxed) {
                Pause::SliceOver.note();
                tokio::task::yield_now().await;
            }
            ExitReason::Normal
        }
    });
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test]
async fn a_spawner_of_many_makes_way_for_them_now_and_then() {
    let system = Arc::<System>::default();
    let (_, exit) = spawn(&system, {
        let system = Arc::clone(&system);
        |own| async move {
            let ran = Arc::new(AtomicU32::new(0));
            for spawned in 0..40 {
                own.make_way().await;
                let waiting = spawned - ran.load(Ordering::Relaxed);
                assert_eq!(waiting, spawned % 8, "of {spawned}");
                let ran = Arc::clone(&ran);
                spawn_by(&system, &own, None, async move {
                    ran.fetch_add(1, Ordering::Relaxed);
                    ExitReason::Normal
                });
            }
            ExitReason::Normal
        }
    });
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_decided_comes_before_ones_own() {
    let system = Arc::<System>::default();
    let gone = dead(&system).await;
    let (_, exit) = spawn(&system, |own| async move {
        own.link(&gone, 0).unwrap();
        ExitReason::Normal
    });
    assert!(matches!(reason(exit).await, ExitReason::LinkDied { cause: None, .. }));
    let (_, exit) = spawn(&system, |own| async move {
        own.kill();
        ExitReason::Exited(3)
    });
    assert_eq!(reason(exit).await, ExitReason::Killed);
}

#[tokio::test(start_paused = true)]
async fn signals_take_effect_in_the_order_of_sending() {
    let system = Arc::<System>::default();
    let gone = dead(&system).await;
    let id = gone.id();
    let (_, exit) = spawn(&system, |own| async move {
        own.set_dies_with_links(false);
        own.link(&gone, 7).unwrap();
        assert_eq!(notice(own.take(&Filter::Any)), Some(Ok(7)), "a message, as was said before the link");
        own.set_dies_with_links(true);
        own.link(&gone, 8).unwrap();
        own.set_dies_with_links(false);
        own.kill();
        std::future::pending().await
    });
    assert_eq!(reason(exit).await, ExitReason::LinkDied { id, cause: None, last_words: None });
}

#[tokio::test(start_paused = true)]
async fn messages_of_an_actor_come_before_the_news_of_its_end() {
    let system = Arc::<System>::default();
    let (receiver, _exit) = spawn(&system, |_| forever());
    receiver.set_dies_with_links(false);
    let to = Arc::clone(&receiver);
    let (sender, exit) = spawn(&system, |own| async move {
        to.link(&own, 4).unwrap();
        to.send(message(0, b"last"), Some(&own)).await.unwrap();
        ExitReason::Exited(1)
    });
    receiver.monitor(&sender).unwrap();
    reason(exit).await;
    assert_eq!(data(receiver.take(&Filter::Any)), b"last");
    assert_eq!(notice(receiver.take(&Filter::Any)), Some(Ok(4)));
    assert_eq!(notice(receiver.take(&Filter::Any)), Some(Err(sender.id())));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_of_what_does_not_exist_hears_so_at_once() {
    let system = Arc::<System>::default();
    let gone = dead(&system).await;
    let (watcher, _exit) = spawn(&system, |_| forever());
    watcher.monitor(&gone).unwrap();
    assert_eq!(notice(watcher.take(&Filter::Any)), Some(Err(gone.id())));
    watcher.monitor_missed(ActorId(999)).unwrap();
    assert_eq!(notice(watcher.take(&Filter::Any)), Some(Err(ActorId(999))));
}

#[tokio::test(start_paused = true)]
async fn an_end_is_heard_once_however_often_one_links_or_watches() {
    let system = Arc::<System>::default();
    let (watched, exit) = spawn(&system, |own| async move {
        own.receive(Filter::Any, None).await;
        ExitReason::Exited(1)
    });
    let (watcher, _exit) = spawn(&system, |_| forever());
    watcher.set_dies_with_links(false);
    for tag in 1..4 {
        watcher.link(&watched, tag).unwrap();
        watcher.monitor(&watched).unwrap();
    }
    watched.send(message(0, b""), None).await.unwrap();
    reason(exit).await;
    assert_eq!(notice(watcher.take(&Filter::Any)), Some(Ok(3)), "the last tag counts");
    assert_eq!(notice(watcher.take(&Filter::Any)), Some(Err(watched.id())));
    assert!(watcher.take(&Filter::Any).is_none());
}

#[tokio::test(start_paused = true)]
async fn after_unlink_and_stop_monitoring_nothing_is_heard() {
    let system = Arc::<System>::default();
    let (watched, exit) = spawn(&system, |_| forever());
    let (watcher, _exit) = spawn(&system, |_| forever());
    watcher.link(&watched, 1).unwrap();
    watcher.monitor(&watched).unwrap();
    watcher.unlink(watched.id());
    watcher.stop_monitoring(watched.id());
    assert_eq!((watcher.memory(), watched.memory()), (0, 0), "what they cost is given back");
    watched.kill();
    reason(exit).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(watcher.take(&Filter::Any).is_none());
    assert!(system.find(watcher.id()).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_ended_is_forgotten_by_those_it_watched() {
    let system = Arc::<System>::default();
    let (watched, _exit) = spawn(&system, |_| forever());
    for _ in 0..10 {
        let (watcher, exit) = spawn(&system, |_| forever());
        watcher.monitor(&watched).unwrap();
        watcher.kill();
        reason(exit).await;
        assert_eq!(Arc::strong_count(&watcher), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_hears_of_an_end_finds_neither_id_nor_name_nor_place_taken() {
    let system = Arc::<System>::default();
    let quota = Quota::new(1, None);
    let only = Prepare { class: "test".into(), limits: LIMITS, quota: Quota::new(0, None), counts_in: Some(&quota) };
    let actor = system.prepare(only).unwrap();
    let _exit = system.launch(&actor, None, None, forever()).unwrap();
    system.register("it", actor.id()).unwrap();
    let (watcher, exit) = spawn(&system, {
        let (system, watched) = (Arc::clone(&system), Arc::clone(&actor));
        |own| async move {
            own.monitor(&watched).unwrap();
            own.receive(Filter::Any, None).await;
            assert!(system.find(watched.id()).is_none());
            assert_eq!(system.lookup("it").await, None);
            assert_eq!(quota.live(), 0);
            ExitReason::Normal
        }
    });
    drop(watcher);
    tokio::task::yield_now().await;
    actor.kill();
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn sending_to_the_dead_and_killing_them_is_nothing() {
    let system = Arc::<System>::default();
    let gone = dead(&system).await;
    gone.send(message(0, b"x"), None).await.unwrap();
    gone.kill();
    gone.unlink(ActorId(1));
    assert!(gone.take(&Filter::Any).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_timer_ends_with_its_receiver_and_outlives_its_owner() {
    let system = Arc::<System>::default();
    let second = Duration::from_secs(1);
    let (owner, owner_exit) = spawn(&system, |_| forever());
    let (receiver, exit) = spawn(&system, |_| forever());
    system.send_after(&owner, receiver.id(), message(1, b""), second).unwrap();
    owner.kill();
    reason(owner_exit).await;
    tokio::time::sleep(2 * second).await;
    assert!(receiver.take(&Filter::Any).is_some());
    let timer = system.send_after(&receiver, receiver.id(), message(1, b""), second).unwrap();
    receiver.kill();
    reason(exit).await;
    assert!(!system.cancel_timer(timer));
    assert!(system.is_empty());
}
