//! The supervision tree's decisions, without actors and without a clock: what ended and when goes in, whom to kill and whom
//! to start comes out.
//!
//! ```text
//! Down --start--> Running --ended, policy wants it again--> Down (until `due`)
//!                    |  `----ended, policy is content-----> Done
//!                    `--one that it is bound to ended-----> Stopping --ended--> Down
//! ```

use std::ops::Range;

use perigee_spec::{Restart, Strategy};
use tokio::time::Instant;

use super::{Decision, Intensity};
use crate::actor::ExitReason;

/// The declared actors of an app, in the order of starting.
pub(crate) struct Tree {
    strategy: Strategy,
    children: Vec<Child>,
}

struct Child {
    intensity: Intensity,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be started, not before that moment.
    Down(Instant),
    Running,
    /// To be killed, since one that it is bound to starts anew.
    Stopping,
    /// Ended for good.
    Done,
}

/// What an end means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stays ended.
    Done,
    /// It was stopped on purpose, or starts again when it is due; first these are to be killed, in this order.
    Again { kill: Vec<usize> },
    /// It needed one restart too many.
    GiveUp,
}

impl Tree {
    pub(crate) fn new<'a>(strategy: Strategy, children: impl Iterator<Item = &'a Restart>, now: Instant) -> Self {
        let child = |restart| Child { intensity: Intensity::new(restart), state: State::Down(now) };
        Self { strategy, children: children.map(child).collect() }
    }

    /// The next child to start at `now`, which counts as running from here on. None is started while one that it is bound
    /// to is still being stopped, or has to wait.
    pub(crate) fn start_next(&mut self, now: Instant) -> Option<usize> {
        let index = (0..self.children.len()).find(|index| self.due(*index).is_some_and(|due| due <= now))?;
        let child = &mut self.children[index];
        child.state = State::Running;
        child.intensity.started(now);
        Some(index)
    }

    /// When the next one is to be started, if that is known.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        (0..self.children.len()).filter_map(|index| self.due(index)).min()
    }

    /// When one is to be started, if it is down and that is known.
    pub(super) fn due(&self, index: usize) -> Option<Instant> {
        let State::Down(own) = self.children[index].state else { return None };
        let mut due = own;
        // One that waits holds back those that start after it, so that the order of starting is kept.
        let before = match self.strategy {
            Strategy::OneForOne => index..index,
            Strategy::RestForOne | Strategy::OneForAll => 0..self.children.len(),
        };
        for other in before {
            match self.children[other].state {
                State::Stopping => return None,
                State::Down(at) if other <= index || self.strategy == Strategy::OneForAll => due = due.max(at),
                State::Down(_) | State::Running | State::Done => {}
            }
        }
        Some(due)
    }

    /// A child ended, or could not be started again.
    pub(crate) fn ended(&mut self, index: usize, reason: &ExitReason, now: Instant) -> Verdict {
        let child = &mut self.children[index];
        if child.state == State::Stopping {
            child.state = State::Down(now);
            return Verdict::Again { kill: Vec::new() };
        }
        match child.intensity.decide(reason, now) {
            Decision::Done => {
                child.state = State::Done;
                Verdict::Done
            }
            Decision::GiveUp => Verdict::GiveUp,
            Decision::Restart { after } => {
                child.state = State::Down(now + after);
                let bound = self.bound_to(index).rev();
                let kill: Vec<usize> = bound.filter(|other| self.children[*other].state == State::Running).collect();
                for other in &kill {
                    self.children[*other].state = State::Stopping;
                }
                Verdict::Again { kill }
            }
        }
    }

    fn bound_to(&self, index: usize) -> Range<usize> {
        match self.strategy {
            Strategy::OneForOne => index..index,
            Strategy::RestForOne => index + 1..self.children.len(),
            Strategy::OneForAll => 0..self.children.len(),
        }
    }

    /// Whether one has ended for good.
    pub(super) fn is_over(&self, index: usize) -> bool {
        self.children[index].state == State::Done
    }

    /// Whether nothing runs, and nothing will.
    pub(crate) fn is_done(&self) -> bool {
        self.children.iter().all(|child| child.state == State::Done)
    }
}

#[cfg(test)]
mod tests;
