//! What an actor looks like from outside at one moment, for people who watch. Whoever looks takes its lock for a moment;
//! nothing is counted on its account that it would not count anyway, but two stores for each time that it runs.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::gate::Pause;
use super::handle::Inner;
use super::idle::Idle;
use super::sync::{AtomicU8, AtomicU64, Ordering};
use super::{Actor, ActorId, ActorLimits, Filter, System};

/// Names that [`ActorInfo`] has.
const NAMES: usize = 4;
/// Links, and monitors of either kind, that [`ActorDetails`] has: an actor may have as many as its memory holds.
const RELATIONS: usize = 1_000;

thread_local! {
    /// How long the body ran whose poll is under way on this thread, in nanoseconds.
    static RAN: Cell<u64> = const { Cell::new(0) };
}

/// Says so of the poll that is under way on this thread. Who says nothing counts as not having run.
pub(crate) fn note_run(nanoseconds: u64) {
    if nanoseconds > 0 {
        RAN.set(nanoseconds);
    }
}

/// What an actor counts of itself.
#[derive(Default)]
pub(super) struct Look {
    /// 0: nobody, as the app itself has started it.
    spawner: AtomicU64,
    cpu_nanoseconds: AtomicU64,
    /// What it does, and how long it has waited (`idle.rs`).
    pub(super) phase: AtomicU8,
    pub(super) idle: Idle,
}

const NEW: u8 = 0;
const RUNNING: u8 = 1;
const READY: u8 = 2;
/// It waits. Whoever looks for idle ones counts on from here.
pub(super) const SUSPENDED: u8 = 3;
/// It waits, and is not asked for anything until it has run.
pub(super) const SETTLED: u8 = u8::MAX;

impl Look {
    pub(super) fn spawned_by(&self, spawner: ActorId) {
        self.spawner.store(spawner.0, Ordering::Relaxed);
    }

    /// Its body is about to be polled.
    pub(super) fn runs(&self) {
        // One that ended left what it ran last.
        RAN.set(0);
        self.phase.store(RUNNING, Ordering::Relaxed);
    }

    /// The poll is over, and the body is not.
    pub(super) fn pauses(&self, pause: Pause) {
        let phase = match pause {
            Pause::Suspended | Pause::Receives => SUSPENDED,
            Pause::Settled => SETTLED,
            Pause::SliceOver | Pause::MakesWay => READY,
        };
        self.phase.store(phase, Ordering::Relaxed);
        let ran = RAN.take();
        if ran > 0 {
            self.cpu_nanoseconds.fetch_add(ran, Ordering::Relaxed);
        }
    }
}

/// What an actor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorState {
    /// Not yet let go by its spawner.
    New,
    /// On a thread.
    Running,
    /// It could run: its time slice is over, and others have their turn.
    Ready,
    /// Waits for a message.
    Receiving,
    /// Waits for something else: time, I/O, room in another one's mailbox.
    Waiting,
    /// Its end is decided, and takes effect when it suspends or is preempted.
    Ending,
}

impl fmt::Display for ActorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Receiving => "receiving",
            Self::Waiting => "waiting",
            Self::Ending => "ending",
        })
    }
}

/// One actor at one moment.
#[derive(Debug, Clone)]
pub struct ActorInfo {
    /// Its identity.
    pub id: ActorId,
    /// Name of its class.
    pub class: Arc<str>,
    /// Who spawned it, alive or not. `None`: the app itself.
    pub spawner: Option<ActorId>,
    /// What it is doing.
    pub state: ActorState,
    /// Some of its names.
    pub names: Vec<Arc<str>>,
    /// How many names it has.
    pub name_count: usize,
    /// Messages in its mailbox, news of ends included.
    pub messages: usize,
    /// What they take of `limits.mailbox`, in bytes.
    pub mailbox: usize,
    /// What is charged to it, in bytes.
    pub memory: u64,
    /// How long it has run, by samples.
    pub cpu: Duration,
    /// Actors that it is linked to.
    pub links: usize,
}

/// All that is known of one actor.
#[derive(Debug, Clone)]
pub struct ActorDetails {
    /// What everybody sees; with all of its names.
    pub info: ActorInfo,
    /// What it may use.
    pub limits: ActorLimits,
    /// What it waits for, if it waits for a message.
    pub awaited: Option<Filter>,
    /// Senders that wait for room in its mailbox.
    pub waiting_senders: usize,
    /// Linked actors, with the tag by which it hears of their ends.
    pub links: Vec<(ActorId, i64)>,
    /// Whose ends it hears of.
    pub monitors: Vec<ActorId>,
    /// Who hears of its end.
    pub monitored_by: Vec<ActorId>,
    /// Whether it dies with a linked actor.
    pub dies_with_links: bool,
    /// Pending timers that will send to it.
    pub timers: usize,
    /// Actors that are alive in the quota that it spawns in, and their bound.
    pub actors: (u32, u32),
}

impl System {
    /// All actors that are alive, by id. Each is whole for itself: others may change while one is looked at.
    #[must_use]
    pub fn look(&self) -> Vec<ActorInfo> {
        let mut all: Vec<_> = self.all().iter().map(|actor| actor.info(&actor.lock(), NAMES)).collect();
        all.sort_unstable_by_key(|info| info.id);
        all
    }

    /// One of them.
    #[must_use]
    pub fn look_at(&self, id: ActorId) -> Option<ActorDetails> {
        let actor = self.find(id)?;
        let mut details = actor.details(&actor.lock());
        // Behind the lock.
        details.info.names.sort_unstable();
        details.links.sort_unstable();
        details.monitors.sort_unstable();
        details.monitored_by.sort_unstable();
        Some(details)
    }
}

impl Actor {
    fn info(&self, inner: &Inner, names: usize) -> ActorInfo {
        let (known, look) = (inner.known(), &self.look);
        let spawner = look.spawner.load(Ordering::Relaxed);
        ActorInfo {
            id: self.id,
            class: Arc::clone(self.class()),
            spawner: (spawner != 0).then_some(ActorId(spawner)),
            state: self.state(inner),
            names: known.map(|known| known.names.iter().take(names).cloned().collect()).unwrap_or_default(),
            name_count: known.map_or(0, |known| known.names.len()),
            messages: inner.mailbox.len(),
            mailbox: inner.mailbox.bytes(),
            memory: self.memory(),
            cpu: Duration::from_nanos(look.cpu_nanoseconds.load(Ordering::Relaxed)),
            links: known.map_or(0, |known| known.links.len()),
        }
    }

    fn state(&self, inner: &Inner) -> ActorState {
        if inner.killed.is_some() {
            return ActorState::Ending;
        }
        match self.look.phase.load(Ordering::Relaxed) {
            NEW => ActorState::New,
            RUNNING => ActorState::Running,
            READY => ActorState::Ready,
            _ if inner.mailbox.awaited().is_some() => ActorState::Receiving,
            _ => ActorState::Waiting,
        }
    }

    fn details(&self, inner: &Inner) -> ActorDetails {
        let known = inner.known();
        let some = |ids: Option<Vec<ActorId>>| ids.unwrap_or_default();
        ActorDetails {
            info: self.info(inner, usize::MAX),
            limits: self.limits(),
            awaited: inner.mailbox.awaited().cloned(),
            waiting_senders: inner.mailbox.waiting_senders(),
            links: known
                .map(|known| known.links.iter().take(RELATIONS).map(|(id, (_, tag))| (*id, *tag)).collect())
                .unwrap_or_default(),
            monitors: some(known.map(|known| known.watched.keys().take(RELATIONS).copied().collect())),
            monitored_by: some(known.map(|known| known.watchers.keys().take(RELATIONS).copied().collect())),
            dies_with_links: inner.dies_with_links,
            timers: known.map_or(0, |known| known.timers.len()),
            actors: (self.quota().live(), self.quota().max()),
        }
    }
}
