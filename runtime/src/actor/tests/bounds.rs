//! Each bound at its value and one beyond: an error for who asks, and nothing for anybody else.

use super::*;

const ROOMY: ActorLimits = ActorLimits { memory: 64 << 20, mailbox: 1 << 10 };

fn idle(system: &Arc<System>, limits: ActorLimits) -> Arc<Actor> {
    let actor = prepare(system, limits);
    drop(system.launch(&actor, None, None, forever()).unwrap());
    actor
}

/// Memory for exactly `count` things of `bytes`.
fn small(count: u64, bytes: u64) -> ActorLimits {
    ActorLimits { memory: count * bytes, mailbox: 1 << 10 }
}

#[tokio::test(start_paused = true)]
async fn links_are_charged_to_both_sides_and_one_more_is_an_error() {
    let system = Arc::<System>::default();
    let poor = idle(&system, small(2, 192));
    let peers: Vec<_> = (0..3).map(|_| idle(&system, ROOMY)).collect();
    poor.link(&peers[0], 1).unwrap();
    peers[1].link(&poor, 1).unwrap();
    let error = peers[2].link(&poor, 1).unwrap_err();
    assert_eq!((error.id, error.wanted), (poor.id(), 3 * 192));
    assert_eq!(peers[2].memory(), 0, "who was refused pays nothing");
    poor.link(&peers[0], 2).unwrap();
    poor.unlink(peers[0].id());
    peers[2].link(&poor, 1).unwrap();
}

#[tokio::test(start_paused = true)]
async fn monitors_are_charged_to_who_watches_and_one_more_is_an_error() {
    let system = Arc::<System>::default();
    let poor = idle(&system, small(2, 256));
    let peers: Vec<_> = (0..3).map(|_| idle(&system, ROOMY)).collect();
    poor.monitor(&peers[0]).unwrap();
    poor.monitor(&peers[1]).unwrap();
    assert_eq!(poor.monitor(&peers[2]).unwrap_err().id, poor.id());
    assert_eq!(peers[0].memory(), 0);
    peers[2].monitor(&poor).unwrap();
}

#[tokio::test(start_paused = true)]
async fn news_of_ends_is_charged_until_it_is_received_so_linking_to_the_dead_is_bounded() {
    let system = Arc::<System>::default();
    let actor = idle(&system, small(10, 64));
    actor.set_dies_with_links(false);
    for _ in 0..5 {
        actor.link_missed(ActorId(99), 1).unwrap();
        actor.monitor_missed(ActorId(99)).unwrap();
    }
    assert!(actor.link_missed(ActorId(99), 1).is_err());
    assert!(actor.monitor_missed(ActorId(99)).is_err());
    let news = actor.take(&Filter::Any).unwrap();
    actor.release_memory(news.cost());
    actor.link_missed(ActorId(99), 1).unwrap();
}

#[tokio::test(start_paused = true)]
async fn names_are_charged_and_given_back() {
    let system = Arc::<System>::default();
    let actor = idle(&system, small(2, 192 + 4));
    system.register("aaaa", actor.id()).unwrap();
    system.register("bbbb", actor.id()).unwrap();
    assert!(matches!(system.register("cccc", actor.id()), Err(NameError::Memory { .. })));
    system.unregister("aaaa");
    system.register("cccc", actor.id()).unwrap();
    let thief = idle(&system, ROOMY);
    system.register("cccc", thief.id()).unwrap();
    system.register("dddd", actor.id()).unwrap();
}

/// Giving and taking away used to count for ever.
#[tokio::test(start_paused = true)]
async fn a_name_that_was_taken_away_counts_no_more() {
    let system = Arc::<System>::default();
    let actor = idle(&system, ROOMY);
    for number in 0..3_000 {
        system.register(&number.to_string(), actor.id()).unwrap();
        system.unregister(&number.to_string());
    }
    assert_eq!(actor.memory(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_timer_more_than_a_process_may_have_is_an_error() {
    let system = Arc::<System>::default();
    let owner = idle(&system, ROOMY);
    let set = || system.send_after(&owner, owner.id(), Message::default(), Duration::from_secs(1));
    let mut last = 0;
    for _ in 0..100_000 {
        last = set().unwrap();
    }
    assert_eq!(set(), Err(TimerError::TooMany));
    assert!(system.cancel_timer(last));
    tokio::task::yield_now().await;
    set().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_is_taken_up_to_the_receivers_memory_and_not_beyond() {
    let system = Arc::<System>::default();
    let actor = idle(&system, ActorLimits { memory: 1_000, mailbox: 1_000 });
    actor.charge_memory(500).unwrap();
    actor.send(message(0, &[0; 100]), None).await.unwrap();
    let fits = 500 - 164 - 64;
    let sends = |bytes: usize| {
        let actor = Arc::clone(&actor);
        async move { tokio::time::timeout(Duration::from_secs(1), actor.send(message(0, &vec![0; bytes]), None)).await.is_ok() }
    };
    assert!(!sends(fits + 1).await, "it waits");
    assert!(sends(fits).await);
    assert_eq!(actor.memory(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_pays_for_its_message_meanwhile() {
    let system = Arc::<System>::default();
    let full = idle(&system, ActorLimits { memory: 1_000, mailbox: 100 });
    full.send(message(0, b"x"), None).await.unwrap();
    let (sender, _exit) = spawn(&system, |own| {
        let full = Arc::clone(&full);
        async move {
            full.send(message(0, b"yy"), Some(&own)).await.unwrap();
            forever().await
        }
    });
    tokio::task::yield_now().await;
    assert_eq!(sender.memory(), 64 + 2);
    assert!(full.take(&Filter::Any).is_some());
    tokio::task::yield_now().await;
    assert_eq!((sender.memory(), full.memory()), (0, 64 + 1 + 64 + 2));
}

#[tokio::test(start_paused = true)]
async fn what_was_received_is_given_back_before_anything_is_refused() {
    let system = Arc::<System>::default();
    let actor = idle(&system, ActorLimits { memory: 100, mailbox: 100 });
    actor.send(message(0, b"x"), None).await.unwrap();
    let received = actor.take(&Filter::Any).unwrap();
    assert_eq!(actor.charge_memory(36), Err(65 + 36));
    actor.release_received(received.cost());
    actor.charge_memory(100).unwrap();
    assert_eq!(actor.charge_memory(1), Err(101));
}
