//! The actor core under shuttle: each scenario runs many times, each time in another order in which threads can meet.
//!
//! The core is compiled once more, from its own sources, with the locks and atomics of shuttle (`sync.rs` there). Shuttle
//! runs one thread at a time and switches at each of them; when all that is left waits, it says so. Tokio's timers are none
//! of it: a wait that is given up stands for one that timed out. A failure prints its schedule, to be given to
//! `shuttle::replay`.
#![cfg(test)]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, Runner};
use tokio::sync::oneshot;

#[path = "../../src"]
pub mod runtime {
    #[allow(dead_code, unused_imports, reason = "no scenario needs all of the core")]
    pub mod actor;
}

use runtime::actor::{Actor, ActorLimits, Began, Envelope, Exit, ExitReason, Filter, Message, Prepare, Quota, System};

mod gate;
mod idle;
mod links;
mod mailbox;
mod quota;
mod signals;
mod turns;

/// Orders that a scenario is run in by either scheduler: enough for each of the defects that were tried out, in all seconds.
const RUNS: usize = 500;
/// Switches away from a thread that could go on, of which PCT places so many: most defects take one or two.
const SWITCHES: usize = 3;

/// Room for one message of [`message`], and not for two.
const LIMITS: ActorLimits = ActorLimits { memory: 1 << 20, mailbox: 100 };

/// Runs a scenario in many orders, at random and by probabilistic concurrency testing.
fn explore(scenario: fn()) {
    run(RandomScheduler::new(RUNS), scenario);
    run(PctScheduler::new(SWITCHES, RUNS), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    // It would say of each run that it takes weaker orderings for sequentially consistent ones.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}

fn prepare(system: &System, limits: ActorLimits) -> Arc<Actor> {
    system.prepare(Prepare { class: "test".into(), limits, quota: Quota::new(10, None), counts_in: None }).unwrap()
}

fn spawn<F>(system: &Arc<System>, body: impl FnOnce(Arc<Actor>) -> F) -> (Arc<Actor>, oneshot::Receiver<Exit>)
where
    F: Future<Output = ExitReason> + Send + 'static,
{
    let actor = prepare(system, LIMITS);
    let exit = system.launch(&actor, None, None, body(Arc::clone(&actor))).unwrap();
    (actor, exit)
}

/// One that never ends by itself, and outlives its links.
fn idle(system: &Arc<System>) -> Arc<Actor> {
    let (actor, _) = spawn(system, |_| std::future::pending());
    actor.set_dies_with_links(false);
    actor
}

/// What a panic of its body, such as a failed assertion, makes of an actor is a reason that no scenario expects.
fn reason(exit: oneshot::Receiver<Exit>) -> ExitReason {
    (*block_on(exit).unwrap().reason).clone()
}

fn message(tag: i64, number: u8) -> Message {
    Message { tag, data: [number].as_slice().into(), ..Message::default() }
}

/// Sends from a thread that is no actor's.
fn send(receiver: &Arc<Actor>, message: Message) {
    block_on(receiver.send(message, None)).unwrap();
}

/// Receives a message, and is done with it at once.
async fn receive(own: &Actor) -> (i64, u8) {
    open(own, own.receive(Filter::Any, None).await)
}

fn open(own: &Actor, envelope: Option<Envelope>) -> (i64, u8) {
    let envelope = envelope.unwrap();
    own.release_memory(envelope.cost());
    let Envelope::Message(message) = envelope else { panic!("the news of an end") };
    (message.tag, message.data[0])
}

/// Polls a future once, and gives it up when that is not enough.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits until nobody else holds an actor: its task does for a moment after its end was told.
fn left_alone(actor: &Arc<Actor>) {
    while Arc::strong_count(actor) > 1 {
        thread::yield_now();
    }
}

/// Runs on a thread of its own.
fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(work)
}
