//! What is seen of actors from outside.

use super::ends::spawn_by;
use super::*;

fn state(system: &System, actor: &Actor) -> ActorState {
    system.look_at(actor.id()).unwrap().info.state
}

/// A body that says why it pauses, as a preempted guest does.
async fn pauses_as(pause: Pause, ran: u64) {
    let mut paused = false;
    std::future::poll_fn(move |_| {
        if std::mem::replace(&mut paused, true) {
            return std::task::Poll::Ready(());
        }
        pause.note();
        note_run(ran);
        std::task::Poll::Pending
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_state_of_an_actor_is_seen() {
    let system = Arc::<System>::default();
    let (spawner, _exit) = spawn(&system, |own| async move {
        own.receive(Filter::Tags(vec![7]), None).await;
        ExitReason::Normal
    });
    assert_eq!(state(&system, &spawner), ActorState::New);
    let (held_back, _exit) = spawn_by(&system, &spawner, None, forever());
    let (ready, _exit) = spawn(&system, |_| async {
        pauses_as(Pause::SliceOver, 0).await;
        forever().await
    });
    let (waiting, _exit) = spawn(&system, |_| forever());
    let (running, exit) = spawn(&system, |own| {
        let system = Arc::clone(&system);
        async move {
            assert_eq!(state(&system, &own), ActorState::Running);
            ExitReason::Normal
        }
    });
    assert_eq!(state(&system, &held_back), ActorState::New);
    assert_eq!(reason(exit).await, ExitReason::Normal);
    assert!(system.look_at(running.id()).is_none(), "it has ended");
    assert_eq!(state(&system, &spawner), ActorState::Receiving);
    assert_eq!(system.look_at(spawner.id()).unwrap().awaited, Some(Filter::Tags(vec![7])));
    assert_eq!(state(&system, &ready), ActorState::Ready);
    assert_eq!(state(&system, &waiting), ActorState::Waiting);
    waiting.kill();
    assert_eq!(state(&system, &waiting), ActorState::Ending);
}

#[tokio::test(start_paused = true)]
async fn what_an_actor_ran_is_its_own_and_not_that_of_the_next_one() {
    let system = Arc::<System>::default();
    let runs = |ran: u64| {
        spawn(&system, move |_| async move {
            pauses_as(Pause::Suspended, ran).await;
            forever().await
        })
    };
    let (first, _exit) = runs(3_000_000);
    // It ends in its first poll, with something noted.
    let (_, exit) = spawn(&system, |_| async {
        note_run(50_000_000);
        ExitReason::Normal
    });
    let (last, _exit) = runs(0);
    reason(exit).await;
    tokio::task::yield_now().await;
    let cpu = |actor: &Actor| system.look_at(actor.id()).unwrap().info.cpu;
    assert_eq!(cpu(&first), Duration::from_millis(3));
    assert_eq!(cpu(&last), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn all_of_an_actor_is_seen() {
    let system = Arc::<System>::default();
    let (spawner, _exit) = spawn(&system, |_| forever());
    let (actor, _exit) = spawn_by(&system, &spawner, Some(5), forever());
    let (peer, _exit) = spawn(&system, |_| forever());
    tokio::task::yield_now().await;
    for number in 0..6 {
        system.register(&format!("name {number}"), actor.id()).unwrap();
    }
    actor.link(&peer, 9).unwrap();
    actor.monitor(&peer).unwrap();
    peer.monitor(&actor).unwrap();
    actor.set_dies_with_links(false);
    actor.send(message(1, &[0; 900]), None).await.unwrap();
    let blocked = tokio::spawn({
        let actor = Arc::clone(&actor);
        async move { actor.send(message(2, &[0; 900]), None).await }
    });
    system.send_after(&peer, actor.id(), message(3, b""), Duration::from_secs(60)).unwrap();
    tokio::task::yield_now().await;
    let seen = system.look_at(actor.id()).unwrap();
    assert_eq!(seen.info.spawner, Some(spawner.id()));
    assert_eq!(seen.info.names.iter().map(|name| &**name).collect::<Vec<_>>()[..2], ["name 0", "name 1"]);
    assert_eq!((seen.info.messages, seen.info.mailbox), (1, message(1, &[0; 900]).cost()));
    assert_eq!(seen.info.memory, actor.memory());
    assert_eq!(seen.links, [(spawner.id(), 0), (peer.id(), 9)]);
    assert_eq!((&seen.monitors[..], &seen.monitored_by[..]), (&[peer.id()][..], &[peer.id()][..]));
    assert_eq!((seen.waiting_senders, seen.timers, seen.dies_with_links), (1, 1, false));
    assert_eq!(seen.actors, (0, 100));
    let list = system.look();
    assert_eq!(list.iter().map(|info| info.id).collect::<Vec<_>>(), [spawner.id(), actor.id(), peer.id()]);
    assert_eq!((list[1].names.len(), list[1].name_count, list[1].links), (4, 6, 2), "a list has some of the names");
    blocked.abort();
}

#[tokio::test(start_paused = true)]
async fn a_new_limit_holds_for_those_that_live() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    let lower = prepare(&system, ActorLimits { memory: 1 << 10, ..LIMITS });
    let _exit_of_lower = system.launch(&lower, None, None, forever()).unwrap();
    actor.charge_memory(LIMITS.memory).unwrap();
    assert!(actor.charge_memory(1).is_err());
    system.set_memory_limit("another class", LIMITS.memory, LIMITS.memory * 4);
    assert_eq!(actor.limits().memory, LIMITS.memory);
    system.set_memory_limit("test", LIMITS.memory, LIMITS.memory * 2);
    assert_eq!(actor.charge_memory(LIMITS.memory), Ok(()));
    assert_eq!(lower.limits().memory, 1 << 10, "a configuration gave it less");
    system.set_memory_limit("test", LIMITS.memory * 2, 1 << 9);
    assert_eq!(actor.charge_memory(1), Err(LIMITS.memory * 2 + 1));
    assert_eq!(lower.limits().memory, 1 << 9);
}
