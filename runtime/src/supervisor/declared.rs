//! What became of the actors that an app declares, for people who watch. The supervisor writes it, and decides nothing by it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::tree::Tree;
use crate::actor::ActorId;

/// A declared actor at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its class.
    pub class: Arc<str>,
    /// How often it was started again.
    pub restarts: u64,
    /// What it is doing.
    pub state: DeclaredState,
}

/// What a declared actor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredState {
    /// It is about to be started; again, where it was before. With the time until then, where that is known.
    Down(Option<Duration>),
    /// It runs under this identity.
    Runs(ActorId),
    /// It has ended for good.
    Done,
}

/// All of one app, in the order of starting.
#[derive(Default)]
pub(crate) struct Board(Mutex<Vec<Slot>>);

struct Slot {
    class: Arc<str>,
    starts: u64,
    state: State,
}

enum State {
    Down(Option<Instant>),
    Runs(ActorId),
    Done,
}

impl Board {
    /// An app is about to start.
    pub(super) fn begin<'a>(&self, classes: impl Iterator<Item = &'a Arc<str>>) {
        *self.lock() = classes.map(|class| Slot { class: Arc::clone(class), starts: 0, state: State::Down(None) }).collect();
    }

    /// It was started.
    pub(super) fn runs(&self, index: usize, id: ActorId) {
        if let Some(slot) = self.lock().get_mut(index) {
            slot.starts += 1;
            slot.state = State::Runs(id);
        }
    }

    /// It has ended, for good or until it is started again.
    pub(super) fn ended(&self, index: usize, tree: &Tree) {
        if let Some(slot) = self.lock().get_mut(index) {
            slot.state = if tree.is_over(index) { State::Done } else { State::Down(None) };
        }
    }

    /// The supervisor waits for ends, and for the moments of starting that the tree knows.
    pub(super) fn waits(&self, tree: &Tree) {
        for (index, slot) in self.lock().iter_mut().enumerate() {
            if let State::Down(due) = &mut slot.state {
                *due = tree.due(index);
            }
        }
    }

    pub(crate) fn look(&self, now: Instant) -> Vec<Declared> {
        let look = |slot: &Slot| Declared {
            class: Arc::clone(&slot.class),
            restarts: slot.starts.saturating_sub(1),
            state: match slot.state {
                State::Down(due) => DeclaredState::Down(due.map(|due| due.saturating_duration_since(now))),
                State::Runs(id) => DeclaredState::Runs(id),
                State::Done => DeclaredState::Done,
            },
        };
        self.lock().iter().map(look).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use perigee_spec::{Restart, RestartPolicy, Strategy};

    use super::*;
    use crate::actor::ExitReason;

    #[tokio::test(start_paused = true)]
    async fn restarts_are_counted_and_a_wait_for_one_is_seen() {
        let restart = |policy| Restart { policy, ..Restart::default() };
        let restarts = [restart(RestartPolicy::Permanent), restart(RestartPolicy::Temporary)];
        let mut tree = Tree::new(Strategy::OneForOne, restarts.iter(), Instant::now());
        let (board, classes) = (Board::default(), [Arc::from("web"), Arc::from("job")]);
        let states = |board: &Board| board.look(Instant::now()).into_iter().map(|one| one.state).collect::<Vec<_>>();
        board.begin(classes.iter());
        assert_eq!(states(&board), [DeclaredState::Down(None); 2]);
        for id in [1, 2] {
            board.runs(tree.start_next(Instant::now()).unwrap(), ActorId(id));
        }
        assert_eq!(states(&board), [DeclaredState::Runs(ActorId(1)), DeclaredState::Runs(ActorId(2))]);
        for index in [0, 1] {
            tree.ended(index, &ExitReason::Exited(1), Instant::now());
            board.ended(index, &tree);
        }
        board.waits(&tree);
        let backoff = restarts[0].backoff.0;
        assert_eq!(states(&board), [DeclaredState::Down(Some(backoff)), DeclaredState::Done]);
        tokio::time::advance(backoff).await;
        assert_eq!(states(&board)[0], DeclaredState::Down(Some(Duration::ZERO)));
        board.runs(tree.start_next(Instant::now()).unwrap(), ActorId(3));
        let web = &board.look(Instant::now())[0];
        assert_eq!((web.restarts, web.state), (1, DeclaredState::Runs(ActorId(3))));
    }
}
