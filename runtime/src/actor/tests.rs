//! The core with native closures as actors, in paused time: no WebAssembly, no real clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;

mod bounds;
mod ends;
mod idle;
mod look;
mod turns;

const LIMITS: ActorLimits = ActorLimits { memory: 1 << 20, mailbox: 1 << 10 };

fn prepare(system: &Arc<System>, limits: ActorLimits) -> Arc<Actor> {
    let quota = Quota::new(100, None);
    system.prepare(Prepare { class: "test".into(), limits, quota, counts_in: None }).unwrap()
}

fn spawn<F>(system: &Arc<System>, body: impl FnOnce(Arc<Actor>) -> F) -> (Arc<Actor>, oneshot::Receiver<Exit>)
where
    F: Future<Output = ExitReason> + Send + 'static,
{
    let actor = prepare(system, LIMITS);
    let exit = system.launch(&actor, None, None, body(Arc::clone(&actor))).unwrap();
    (actor, exit)
}

async fn forever() -> ExitReason {
    std::future::pending().await
}

fn message(tag: i64, data: &[u8]) -> Message {
    Message { tag, data: data.into(), ..Message::default() }
}

fn data(envelope: Option<Envelope>) -> Vec<u8> {
    match envelope {
        Some(Envelope::Message(message)) => message.data.into_vec(),
        _ => panic!("no message"),
    }
}

async fn reason(exit: oneshot::Receiver<Exit>) -> ExitReason {
    (*exit.await.unwrap().reason).clone()
}

#[tokio::test(start_paused = true)]
async fn messages_reach_an_actor_in_the_order_of_sending() {
    let system = Arc::<System>::default();
    let (actor, exit) = spawn(&system, |own| async move {
        for expected in 0u8..10 {
            assert_eq!(data(own.receive(Filter::Any, None).await), [expected]);
        }
        ExitReason::Normal
    });
    for number in 0u8..10 {
        actor.send(message(0, &[number]), None).await.unwrap();
    }
    assert_eq!(reason(exit).await, ExitReason::Normal);
    assert!(system.is_empty());
}

#[tokio::test(start_paused = true)]
async fn killed_actor_ends_while_it_waits_and_its_links_die_with_it() {
    let system = Arc::<System>::default();
    let (first, first_exit) = spawn(&system, |_| forever());
    let (second, second_exit) = spawn(&system, |_| forever());
    first.link(&second, 5).unwrap();
    first.kill();
    assert_eq!(reason(first_exit).await, ExitReason::Killed);
    let cause = Some(Arc::new(ExitReason::Killed));
    assert_eq!(reason(second_exit).await, ExitReason::LinkDied { id: first.id(), cause, last_words: None });
}

#[tokio::test(start_paused = true)]
async fn normal_end_leaves_links_alive() {
    let system = Arc::<System>::default();
    let (watcher, exit) = spawn(&system, |own| async move {
        own.receive(Filter::Any, Some(Duration::from_secs(1))).await;
        ExitReason::Exited(7)
    });
    let (other, other_exit) = spawn(&system, |_| async { ExitReason::Normal });
    watcher.link(&other, 1).unwrap();
    assert_eq!(reason(other_exit).await, ExitReason::Normal);
    assert_eq!(reason(exit).await, ExitReason::Exited(7));
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_survives_its_links_hears_of_their_end_by_tag() {
    let system = Arc::<System>::default();
    let (other, _) = spawn(&system, |_| forever());
    let (watcher, exit) = spawn(&system, |own| async move {
        own.set_dies_with_links(false);
        match own.receive(Filter::Tags(vec![9]), None).await {
            Some(Envelope::LinkDied { tag: 9 }) => ExitReason::Normal,
            _ => ExitReason::Trap("something else came".into()),
        }
    });
    watcher.link(&other, 9).unwrap();
    tokio::task::yield_now().await;
    other.kill();
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn linking_to_an_actor_that_has_ended_is_answered_as_its_end() {
    let system = Arc::<System>::default();
    let (dead, dead_exit) = spawn(&system, |_| async { ExitReason::Normal });
    reason(dead_exit).await;
    let (late, exit) = spawn(&system, |_| forever());
    late.link(&dead, 3).unwrap();
    assert_eq!(reason(exit).await, ExitReason::LinkDied { id: dead.id(), cause: None, last_words: None });
}

#[tokio::test(start_paused = true)]
async fn a_monitor_hears_of_a_normal_end_too() {
    let system = Arc::<System>::default();
    let (watched, _) = spawn(&system, |own| async move {
        own.receive(Filter::Any, None).await;
        ExitReason::Normal
    });
    let id = watched.id();
    let (watcher, exit) = spawn(&system, |own| async move {
        match own.receive(Filter::Any, None).await {
            Some(Envelope::ActorDied(died)) if died == id => ExitReason::Normal,
            _ => ExitReason::Trap("something else came".into()),
        }
    });
    watcher.monitor(&watched).unwrap();
    watched.send(message(0, b"go"), None).await.unwrap();
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn sender_to_a_full_mailbox_waits_until_there_is_room() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    let half = vec![0; 400];
    actor.send(message(0, &half), None).await.unwrap();
    actor.send(message(0, &half), None).await.unwrap();
    let blocked = tokio::spawn({
        let actor = Arc::clone(&actor);
        async move { actor.send(message(3, b"third, and 200 bytes more than fit: ").with_padding(200), None).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!blocked.is_finished(), "there is no room for it");
    assert!(actor.take(&Filter::Any).is_some());
    blocked.await.unwrap().unwrap();
    assert!(actor.take(&Filter::Tags(vec![3])).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_sender_that_is_given_up_lets_the_next_one_in() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    actor.send(message(0, &vec![0; 900]), None).await.unwrap();
    let send = |tag| {
        let actor = Arc::clone(&actor);
        tokio::spawn(async move { actor.send(message(tag, &vec![0; 900]), None).await })
    };
    let first = send(1);
    tokio::task::yield_now().await;
    let second = send(2);
    tokio::task::yield_now().await;
    first.abort();
    assert!(actor.take(&Filter::Any).is_some());
    tokio::time::timeout(Duration::from_secs(1), second).await.expect("the second is let in").unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn senders_that_wait_learn_of_the_receivers_end() {
    let system = Arc::<System>::default();
    let (actor, exit) = spawn(&system, |_| forever());
    actor.send(message(0, &vec![0; 900]), None).await.unwrap();
    let blocked = tokio::spawn({
        let actor = Arc::clone(&actor);
        async move { actor.send(message(0, &vec![0; 900]), None).await }
    });
    tokio::task::yield_now().await;
    actor.kill();
    reason(exit).await;
    assert_eq!(blocked.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_whole_mailbox_is_an_error_of_its_sender() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    let fits = LIMITS.mailbox - Message::default().cost();
    assert!(actor.send(message(0, &vec![0; fits]), None).await.is_ok());
    let error = actor.send(message(0, &vec![0; fits + 1]), None).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge { limit, .. } if limit == LIMITS.mailbox), "{error}");
}

#[tokio::test(start_paused = true)]
async fn sending_to_oneself_when_full_ends_the_sender() {
    let system = Arc::<System>::default();
    let (_, exit) = spawn(&system, |own| async move {
        loop {
            own.send(message(0, &[0; 100]), Some(&own)).await.unwrap();
        }
    });
    assert_eq!(reason(exit).await, ExitReason::MailboxFull);
}

#[tokio::test(start_paused = true)]
async fn who_sends_to_itself_has_the_room_that_it_made() {
    let system = Arc::<System>::default();
    let (_, exit) = spawn(&system, |own| async move {
        while own.try_send(message(0, &[0; 10]), Some(own.id())).unwrap().is_none() {}
        assert!(own.take(&Filter::Any).is_some());
        own.send(message(0, &[0; 10]), Some(&own)).await.unwrap();
        ExitReason::Normal
    });
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn what_was_received_makes_room_at_the_latest_when_its_receiver_suspends() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |own| async move {
        assert!(own.receive(Filter::Tags(vec![1]), None).await.is_some());
        assert!(own.take(&Filter::Any).is_some());
        forever().await
    });
    tokio::task::yield_now().await;
    while actor.try_send(message(0, &[0; 10]), None).unwrap().is_none() {}
    let blocked = tokio::spawn({
        let actor = Arc::clone(&actor);
        async move { actor.send(message(0, &[0; 10]), None).await }
    });
    tokio::task::yield_now().await;
    assert!(!blocked.is_finished());
    actor.send(message(1, b"an eighth of the mailbox is more than one of those"), None).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), blocked).await.expect("it is let in").unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_timed_out_changes_no_order() {
    let system = Arc::<System>::default();
    let (actor, exit) = spawn(&system, |own| async move {
        assert!(own.receive(Filter::Any, Some(Duration::from_millis(10))).await.is_none());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(data(own.receive(Filter::Any, None).await), b"A");
        assert_eq!(data(own.receive(Filter::Any, None).await), b"B");
        ExitReason::Normal
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    actor.send(message(0, b"A"), None).await.unwrap();
    actor.send(message(0, b"B"), None).await.unwrap();
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_receive_without_time_still_sees_what_came_before() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    assert!(actor.receive(Filter::Any, Some(Duration::ZERO)).await.is_none());
    actor.send(message(0, b"x"), None).await.unwrap();
    assert_eq!(data(actor.receive(Filter::Any, Some(Duration::ZERO)).await), b"x");
}

#[tokio::test(start_paused = true)]
async fn a_call_skips_what_was_queued_and_gets_the_reply_that_comes_at_once() {
    let system = Arc::<System>::default();
    let (echo, _echo_exit) = spawn(&system, |_| forever());
    let (_, exit) = spawn(&system, |own| async move {
        own.send(message(4, b"old"), None).await.unwrap();
        let replier = Arc::clone(&own);
        let send = async move {
            echo.send(message(0, b"request"), None).await?;
            replier.send(message(4, b"reply"), None).await
        };
        own.send_and_wait(4, send).await.unwrap();
        let reply = own.wait_on(Began::Before, Some(tokio::time::sleep(Duration::from_secs(1)))).await;
        assert_eq!(data(reply), b"reply");
        assert_eq!(data(own.take(&Filter::Any)), b"old");
        ExitReason::Normal
    });
    assert_eq!(reason(exit).await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_host_ends_one_actor_and_its_links_hear_of_it() {
    let system = Arc::<System>::default();
    let (broken, broken_exit) = spawn(&system, |own| async move {
        own.receive(Filter::Any, None).await;
        panic!("a defect");
    });
    let (peer, peer_exit) = spawn(&system, |_| forever());
    broken.link(&peer, 0).unwrap();
    broken.send(message(0, b"go"), None).await.unwrap();
    assert_eq!(reason(broken_exit).await, ExitReason::HostFault("a defect".into()));
    assert!(matches!(reason(peer_exit).await, ExitReason::LinkDied { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_name_goes_with_its_actor() {
    let system = Arc::<System>::default();
    let (actor, exit) = spawn(&system, |_| forever());
    system.register("counter", actor.id()).unwrap();
    assert_eq!(system.lookup("counter").await, Some(actor.id()));
    actor.kill();
    reason(exit).await;
    assert_eq!(system.lookup("counter").await, None);
    system.register("late", actor.id()).unwrap();
    assert_eq!(system.lookup("late").await, None, "a dead actor gets no name");
    assert!(system.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_one_of_many_gets_the_right_to_a_name_and_the_others_wait_for_it() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    let Lookup::Reserved(reservation) = system.lookup_or_reserve("one").await.unwrap() else { panic!("it is free") };
    let waiting = tokio::spawn({
        let system = Arc::clone(&system);
        async move { system.lookup("one").await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    system.register_reserved(reservation, &actor).unwrap();
    assert_eq!(waiting.await.unwrap(), Some(actor.id()));

    let Lookup::Reserved(unused) = system.lookup_or_reserve("two").await.unwrap() else { panic!("it is free") };
    drop(unused);
    assert_eq!(system.lookup("two").await, None, "a reservation without a use leaves the name free");
}

#[tokio::test(start_paused = true)]
async fn a_timer_sends_once_or_is_cancelled() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    let second = Duration::from_secs(1);
    let cancelled = system.send_after(&actor, actor.id(), message(1, b""), second).unwrap();
    let kept = system.send_after(&actor, actor.id(), message(2, b""), second).unwrap();
    assert!(system.cancel_timer(cancelled));
    assert!(!system.cancel_timer(cancelled));
    tokio::time::sleep(2 * second).await;
    assert!(!system.cancel_timer(kept), "it has sent");
    assert!(actor.take(&Filter::Tags(vec![2])).is_some());
    assert!(actor.take(&Filter::Any).is_none());
}

#[tokio::test(start_paused = true)]
async fn memory_is_charged_up_to_the_limit_with_the_mailbox_in_it() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    actor.send(message(0, &[0; 100]), None).await.unwrap();
    let queued = message(0, &[0; 100]).cost() as u64;
    assert_eq!(actor.charge_memory(LIMITS.memory - queued), Ok(()));
    assert_eq!(actor.charge_memory(1), Err(LIMITS.memory + 1));
    actor.release_memory(1);
    assert_eq!(actor.charge_memory(1), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn messages_of_timers_are_charged_to_who_set_them_until_they_are_sent() {
    let system = Arc::<System>::default();
    let (owner, _owner_exit) = spawn(&system, |_| forever());
    let (receiver, _exit) = spawn(&system, |own| async move {
        loop {
            own.receive(Filter::Any, None).await;
        }
    });
    let big = || message(0, &vec![0; 900]);
    let timers = LIMITS.memory / (big().cost() as u64 + 448);
    let set = || system.send_after(&owner, receiver.id(), big(), Duration::from_secs(1));
    let ids: Vec<_> = (0..timers).map(|_| set().unwrap()).collect();
    assert!(matches!(set(), Err(TimerError::Memory { .. })));
    assert!(system.cancel_timer(ids[0]));
    tokio::task::yield_now().await;
    set().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(owner.memory(), 0);
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded_in_length_and_number() {
    let system = Arc::<System>::default();
    let (actor, _exit) = spawn(&system, |_| forever());
    system.register(&"x".repeat(1_024), actor.id()).unwrap();
    assert!(matches!(system.register(&"x".repeat(1_025), actor.id()), Err(NameError::TooLong { bytes: 1_025 })));
    for number in 1..1_024 {
        system.register(&number.to_string(), actor.id()).unwrap();
    }
    assert!(matches!(system.register("one more", actor.id()), Err(NameError::TooMany { .. })));
}

#[tokio::test(start_paused = true)]
async fn all_actors_end_when_the_system_does() {
    let system = Arc::<System>::default();
    let exits: Vec<_> = (0..100).map(|_| spawn(&system, |_| forever()).1).collect();
    assert_eq!(system.len(), 100);
    system.kill_all().await;
    assert!(system.is_empty());
    for exit in exits {
        assert_eq!(reason(exit).await, ExitReason::Killed);
    }
}

impl Message {
    fn with_padding(mut self, bytes: usize) -> Self {
        self.data.resize(self.data.len() + bytes, 0);
        self
    }
}
