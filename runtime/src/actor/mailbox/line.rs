//! Senders that wait for room, in a line, and the turns of those that waited.

use std::collections::VecDeque;
use std::task::Waker;

use super::{ActorId, Origin};

/// Of a mailbox, what is let in at once: senders wait until so much of it is free, and one that waited may send so much before
/// the next one has its turn. A sender that was let in for a single message would have to be suspended and woken for each.
pub(super) const SHARES: usize = 8;

/// A sender that waits for room. It has its place until its message is delivered, or it gives up.
pub(super) struct Waiting {
    ticket: u64,
    pub(super) cost: usize,
    pub(super) waker: Waker,
    /// There is room for its message, and it was told so.
    pub(super) is_let_in: bool,
}

/// What a sender that was let in may still send before others that wait, in bytes.
struct Turn {
    sender: ActorId,
    left: usize,
}

/// Senders that wait for room.
#[derive(Default)]
pub(super) struct Line {
    /// In the order of their tickets, which is that of their coming.
    senders: VecDeque<Waiting>,
    next_ticket: u64,
    /// Of those that were let in last, as long as others wait.
    turns: VecDeque<Turn>,
}

impl Line {
    fn place(&self, ticket: u64) -> Option<usize> {
        self.senders.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }

    pub(super) fn len(&self) -> usize {
        self.senders.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.senders.iter_mut()
    }

    /// All give up. Returns whom to wake.
    pub(super) fn leave(self) -> Vec<Waker> {
        self.senders.into_iter().map(|waiting| waiting.waker).collect()
    }

    /// Whether a message of that size comes before those of others that wait.
    pub(super) fn is_let_in(&self, from: Origin, size: usize) -> bool {
        match from.ticket {
            None => {
                self.senders.is_empty() || self.turns.iter().any(|turn| Some(turn.sender) == from.sender && turn.left >= size)
            }
            Some(ticket) => self.place(ticket).is_some_and(|place| self.senders[place].is_let_in),
        }
    }

    /// Begins the turn of one that waited, or counts what it sent in it.
    pub(super) fn count_turn(&mut self, from: Origin, size: usize, share: usize) {
        let Some(sender) = from.sender.filter(|_| !self.senders.is_empty()) else { return };
        if from.ticket.is_some() {
            self.turns.truncate(SHARES - 1);
            self.turns.push_front(Turn { sender, left: share.saturating_sub(size) });
        } else if let Some(turn) = self.turns.iter_mut().find(|turn| turn.sender == sender) {
            turn.left = turn.left.saturating_sub(size);
        }
    }

    /// Queues a sender, or renews its waker, as [`Mailbox::wait_for_room`](super::Mailbox::wait_for_room) says.
    pub(super) fn wait(&mut self, from: Origin, cost: usize, waker: &Waker) -> u64 {
        if let Some((ticket, place)) = from.ticket.and_then(|ticket| Some((ticket, self.place(ticket)?))) {
            let waiting = &mut self.senders[place];
            waiting.waker.clone_from(waker);
            waiting.is_let_in = false;
            return ticket;
        }
        self.turns.retain(|turn| Some(turn.sender) != from.sender);
        self.next_ticket += 1;
        self.senders.push_back(Waiting { ticket: self.next_ticket, cost, waker: waker.clone(), is_let_in: false });
        self.next_ticket
    }

    pub(super) fn forget(&mut self, ticket: u64) {
        if let Some(place) = self.place(ticket) {
            self.senders.remove(place);
        }
        if self.senders.is_empty() {
            self.turns.clear();
        }
    }
}
