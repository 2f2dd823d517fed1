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
use super::sync::{self, Ordering, thread_local};

/// Turns that are taken behind a first one at the most: then whatever else waits for the thread has its own.
const BEHIND: usize = 64;

thread_local! {
    /// Whether actors have their turns on this thread now.
    static UNDER_WAY: Cell<bool> = const { Cell::new(false) };
    /// Who is next.
    static NEXT: Cell<Option<Arc<Actor>>> = const { Cell::new(None) };
}

/// What an actor runs, as whoever has its turn on it knows it.
pub(super) type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where that is kept: in the actor, for whoever's thread it has its turn on.
#[derive(Default)]
pub(super) struct Body(Mutex<Runs>);

#[derive(Default)]
struct Runs {
    /// `None` before its task is made, and after the end.
    run: Option<Run>,
    /// What its task was polled with. `None` before: what would have been woken then, that finds out.
    waker: Option<Waker>,
}

/// The task of an actor. Without it there is nothing to run.
pub(super) struct Task(pub(super) Arc<Actor>);

impl Task {
    pub(super) fn new(actor: Arc<Actor>, run: Run) -> Self {
        actor.body.lock().run = Some(run);
        Self(actor)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let runs = std::mem::take(&mut *self.0.body.lock());
        drop(runs);
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let under_way = UnderWay::begin();
        let mut row = Row { left: BEHIND };
        let first = self.0.take_turn(Some(context.waker()));
        let mut goes_on = row.let_go(&self.0, first);
        while goes_on && row.left > 0 {
            let Some(actor) = NEXT.with(Cell::take) else { break };
            row.left -= 1;
            let turn = actor.take_turn(None);
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
    if let Some(next) = NEXT.with(Cell::take) {
        next.wake_task();
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
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Runs>> {
        match self.0.try_lock() {
            Ok(runs) => Some(runs),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// How somebody is woken whom a message came for.
pub(super) enum Wake {
    /// It is next on this thread.
    Next,
    Task(Waker),
}

impl Wake {
    /// Of an actor that is woken by `waker`.
    pub(super) fn by(waker: &Waker) -> Self {
        if UNDER_WAY.with(Cell::get) { Self::Next } else { Self::Task(waker.clone()) }
    }
}

impl Actor {
    /// Has a turn, unless it has one elsewhere: of its task, which is woken by `waker`, or of a row.
    pub(super) fn take_turn(&self, waker: Option<&Waker>) -> Turn {
        let Some(mut body) = self.take_body() else { return Turn::Elsewhere };
        let Runs { run: Some(run), waker: known } = &mut *body else { return Turn::Ended };
        if let Some(waker) = waker {
            self.be_woken(known, waker);
        }
        let polled = run.as_mut().poll(&mut Context::from_waker(known.as_ref().unwrap_or(Waker::noop())));
        if polled.is_ready() {
            let runs = std::mem::take(&mut *body);
            drop(body);
            drop(runs.run);
            if let (None, Some(task)) = (waker, runs.waker) {
                // That hears of it.
                task.wake();
            }
            return Turn::Ended;
        }
        drop(body);
        let pause = Pause::noted();
        if self.turn_again.load(Ordering::SeqCst) && self.turn_again.swap(false, Ordering::SeqCst) {
            self.wake_task();
        }
        Turn::Paused(pause)
    }

    /// `None`: it has its turn elsewhere, and gets another one when that is over.
    fn take_body(&self) -> Option<MutexGuard<'_, Runs>> {
        self.body.try_lock().or_else(|| {
            self.turn_again.store(true, Ordering::SeqCst);
            // Whoever had it may have looked before that.
            self.body.try_lock()
        })
    }

    /// Has others wake its task from here on. The waker of a task stays the same as a rule.
    fn be_woken(&self, known: &mut Option<Waker>, waker: &Waker) {
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.lock().waker = Some(waker.clone());
            *known = Some(waker.clone());
        }
    }

    pub(super) fn wake_for_message(self: &Arc<Self>, wake: Wake) {
        match wake {
            Wake::Task(task) => task.wake(),
            Wake::Next => {
                if let Some(before) = NEXT.with(|next| next.replace(Some(Arc::clone(self)))) {
                    before.wake_task();
                }
            }
        }
    }

    fn wake_task(&self) {
        // Woken behind the lock.
        let waker = self.lock().waker.clone();
        wake(waker);
    }
}

/// Wakes a task, if there is one yet.
pub(super) fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}
