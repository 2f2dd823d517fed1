//! Turns on a thread: an actor's task polls what the actor runs, and behind it, at once, whom it woke with its last message.
//!
//! Two that talk to each other take turns so, without the scheduler: that would have another thread come for one of them
//! every few turns, and what they share would go from core to core and back. It happens only behind one that waits for a
//! message or has ended. One that goes on as soon as somebody receives, or computes on, is better off with the other elsewhere.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};

use super::Actor;
use super::brief::first_turns;
use super::gate::Pause;
use super::sync::{self, AtomicBool, Ordering, thread_local};

/// Turns that are taken behind a first one at the most: then whatever else waits for the thread has its own.
const BEHIND: usize = 64;

thread_local! {
    /// Whether actors have their turns on this thread now.
    static UNDER_WAY: Cell<bool> = const { Cell::new(false) };
    /// Who is next, by what wakes its task otherwise.
    static NEXT: Cell<Option<(Arc<Actor>, Waker)>> = const { Cell::new(None) };
}

/// What an actor runs, as whoever has its turn on it knows it.
pub(super) type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where that is kept: in the actor, for whoever's thread it has its turn on.
#[derive(Default)]
pub(super) struct Body {
    /// `None` before its task is made, and after the end.
    run: Mutex<Option<Run>>,
    /// Somebody wanted to give it a turn while it had one.
    again: AtomicBool,
}

/// The task of an actor. Without it there is nothing to run.
pub(super) struct Task(pub(super) Arc<Actor>);

impl Task {
    pub(super) fn new(actor: Arc<Actor>, run: Run) -> Self {
        *actor.body.lock() = Some(run);
        Self(actor)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let run = self.0.body.lock().take();
        drop(run);
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let under_way = UnderWay::begin();
        let mut row = Row { left: BEHIND };
        let first = self.0.take_turn(context);
        let mut goes_on = row.let_go(&self.0, first);
        while goes_on && row.left > 0 {
            let Some((actor, waker)) = NEXT.with(Cell::take) else { break };
            row.left -= 1;
            let turn = actor.take_turn(&mut Context::from_waker(&waker));
            if turn == Turn::Ended {
                // Its task hears of it.
                waker.wake();
            }
            goes_on = row.let_go(&actor, turn);
        }
        drop(under_way);
        if first == Turn::Ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// How a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The actor has ended.
    Ended,
    /// It goes on later.
    Paused(Pause),
    /// It has its turn on another thread.
    Elsewhere,
}

impl Turn {
    /// Whether whom it woke is next, behind it.
    fn goes_on(self) -> bool {
        matches!(self, Self::Ended | Self::Paused(Pause::Receives))
    }

    /// Those that the actor held back until this end of its turn.
    pub(super) fn lets_go(self, actor: &Actor) -> Vec<Task> {
        match self {
            Self::Ended => actor.pass_gate(Pause::Suspended),
            Self::Paused(pause) => actor.pass_gate(pause),
            Self::Elsewhere => Vec::new(),
        }
    }
}

/// The turns behind a first one.
struct Row {
    /// Those that may be taken yet.
    left: usize,
}

impl Row {
    /// Lets those go that the actor held back until this end of its turn, if any. Whether the row goes on.
    #[inline]
    fn let_go(&mut self, actor: &Actor, turn: Turn) -> bool {
        if actor.holds_back() { self.begin(turn.lets_go(actor), actor, turn) } else { turn }.goes_on()
    }

    /// Some have their first turns at once, as part of the row. How its last one is over.
    fn begin(&mut self, mut due: Vec<Task>, spawner: &Actor, turn: Turn) -> Turn {
        if due.is_empty() {
            return turn;
        }
        if !turn.goes_on() {
            leave_next();
        }
        let at_once = spawner.brief.at_once().min(self.left).min(due.len());
        // Those that have tasks first: other threads take them meanwhile.
        due.drain(at_once..).for_each(sync::spawn);
        if at_once == 0 {
            return turn;
        }
        self.left -= at_once;
        first_turns(due, &spawner.brief)
    }
}

/// Leaves whoever is next to its task.
fn leave_next() {
    if let Some((_, waker)) = NEXT.with(Cell::take) {
        waker.wake();
    }
}

/// However turns end, nobody is forgotten who was to be next.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.with(|under_way| under_way.set(true));
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.with(|under_way| under_way.set(false));
        leave_next();
    }
}

impl Body {
    fn lock(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: it has its turn elsewhere, and gets another one when that is over.
    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Run>>> {
        let try_lock = || match self.run.try_lock() {
            Ok(run) => Some(run),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        try_lock().or_else(|| {
            self.again.store(true, Ordering::SeqCst);
            // Whoever had it may have looked before that.
            try_lock()
        })
    }
}

impl Actor {
    /// Has a turn, unless it has one elsewhere.
    pub(super) fn take_turn(&self, context: &mut Context<'_>) -> Turn {
        let Some(mut body) = self.body.try_lock() else { return Turn::Elsewhere };
        let Some(run) = &mut *body else { return Turn::Ended };
        let polled = run.as_mut().poll(context);
        let ended = if polled.is_ready() { body.take() } else { None };
        drop(body);
        if ended.is_some() {
            return Turn::Ended;
        }
        let pause = Pause::noted();
        if self.body.again.load(Ordering::SeqCst) && self.body.again.swap(false, Ordering::SeqCst) {
            context.waker().wake_by_ref();
        }
        Turn::Paused(pause)
    }

    /// Wakes it for a message: to be next on this thread, if actors have turns there, else by its task.
    pub(super) fn wake_for_message(self: &Arc<Self>, waker: Waker) {
        if !UNDER_WAY.with(Cell::get) {
            return waker.wake();
        }
        if let Some((_, before)) = NEXT.with(|next| next.replace(Some((Arc::clone(self), waker)))) {
            before.wake();
        }
    }
}
