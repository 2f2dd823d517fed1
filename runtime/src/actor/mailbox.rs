//! The queue of one actor: bounded in bytes, received from selectively, first in first out for each sender.
//!
//! Plain data without a lock of its own; [`Actor`](super::Actor) guards it.

use std::collections::VecDeque;
use std::task::Waker;

use super::{Envelope, Filter};

/// A sender that waits for room.
pub(super) struct Waiting {
    pub(super) ticket: u64,
    pub(super) cost: usize,
    pub(super) waker: Waker,
}

#[derive(Default)]
pub(super) struct Mailbox {
    queue: VecDeque<Envelope>,
    /// Cost of the queue.
    bytes: usize,
    /// What the actor waits for; while set, nothing in the queue matches it.
    awaited: Option<Filter>,
    /// What came for `awaited`. It has not been in the queue, so it counts for nothing there.
    delivered: Option<Envelope>,
    senders: VecDeque<Waiting>,
    next_ticket: u64,
}

/// What became of a delivery.
pub(super) enum Delivery {
    /// The actor was waiting for it: wake it.
    Awaited,
    /// It lies in the queue.
    Queued,
    /// There is no room.
    Full(Envelope),
}

impl Mailbox {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hands over past the queue what the actor waits for, however full the queue is: the wait could not end otherwise.
    pub(super) fn deliver(&mut self, envelope: Envelope, room: usize) -> Delivery {
        if self.awaited.as_ref().is_some_and(|filter| filter.matches(&envelope)) {
            self.awaited = None;
            self.delivered = Some(envelope);
            return Delivery::Awaited;
        }
        // An empty queue takes any message that is no larger than the limit, or a sender could wait for ever.
        let cost = envelope.cost();
        if cost > room && !self.queue.is_empty() {
            return Delivery::Full(envelope);
        }
        self.enqueue(envelope);
        Delivery::Queued
    }

    /// Delivers what the system itself has to say: never refused, and bounded by the number of links and monitors.
    pub(super) fn deliver_signal(&mut self, envelope: Envelope) -> bool {
        matches!(self.deliver(envelope, usize::MAX), Delivery::Awaited)
    }

    fn enqueue(&mut self, envelope: Envelope) {
        self.bytes += envelope.cost();
        self.queue.push_back(envelope);
    }

    /// Takes the first that matches out of the queue.
    pub(super) fn take(&mut self, filter: &Filter) -> Option<Envelope> {
        let index = self.queue.iter().position(|envelope| filter.matches(envelope))?;
        let envelope = self.queue.remove(index)?;
        self.bytes -= envelope.cost();
        Some(envelope)
    }

    /// From now on, what matches is handed over directly.
    pub(super) fn wait_for(&mut self, filter: Filter) {
        self.awaited = Some(filter);
    }

    pub(super) fn take_delivered(&mut self) -> Option<Envelope> {
        self.delivered.take()
    }

    /// Ends a wait. What came for it in the meantime goes to the front: it came before everything that is queued and
    /// matches the same filter, since that would have been handed over instead.
    pub(super) fn stop_waiting(&mut self) {
        self.awaited = None;
        if let Some(envelope) = self.delivered.take() {
            self.bytes += envelope.cost();
            self.queue.push_front(envelope);
        }
    }

    pub(super) fn has_waiting_senders(&self) -> bool {
        !self.senders.is_empty()
    }

    /// Queues a sender, or renews its waker. Returns its ticket.
    pub(super) fn wait_for_room(&mut self, ticket: Option<u64>, cost: usize, waker: &Waker) -> u64 {
        if let Some(waiting) = ticket.and_then(|ticket| self.senders.iter_mut().find(|waiting| waiting.ticket == ticket)) {
            waiting.waker.clone_from(waker);
            return waiting.ticket;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.senders.push_back(Waiting { ticket, cost, waker: waker.clone() });
        ticket
    }

    pub(super) fn forget_sender(&mut self, ticket: u64) {
        self.senders.retain(|waiting| waiting.ticket != ticket);
    }

    /// The senders whose messages fit into `room` now, in the order in which they came; at least one when the queue is
    /// empty.
    pub(super) fn admit(&mut self, mut room: usize) -> Vec<Waker> {
        let mut admitted = Vec::new();
        while let Some(first) = self.senders.front() {
            let fits = first.cost <= room || (self.queue.is_empty() && admitted.is_empty());
            if !fits {
                break;
            }
            room = room.saturating_sub(first.cost);
            admitted.extend(self.senders.pop_front().map(|waiting| waiting.waker));
        }
        admitted
    }

    /// Empties it when its actor has ended: the senders that wait learn that by trying again.
    pub(super) fn close(&mut self) -> (VecDeque<Envelope>, Vec<Waker>) {
        self.awaited = None;
        self.bytes = 0;
        let mut left = std::mem::take(&mut self.queue);
        left.extend(self.delivered.take());
        (left, self.senders.drain(..).map(|waiting| waiting.waker).collect())
    }
}

#[cfg(test)]
mod tests;
