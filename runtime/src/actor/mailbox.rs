//! The queue of one actor: bounded in bytes, received from selectively, first in first out for each sender.
//!
//! Plain data without a lock of its own; [`Actor`](super::Actor) guards it.

use std::collections::VecDeque;
use std::task::Waker;

use super::account::Account;
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
    /// Cost of the messages in the queue.
    bytes: usize,
    /// What the actor waits for.
    awaited: Option<Filter>,
    /// What came for `awaited`, and how much was queued before it. It never was in the queue, so it takes no room there.
    delivered: Option<(Envelope, usize)>,
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
    /// Whatever it takes in is charged to `account`.
    pub(super) fn deliver(&mut self, envelope: Envelope, room: usize, account: &Account) -> Delivery {
        let cost = envelope.cost();
        if self.is_awaited(&envelope) {
            account.add(cost);
            self.hand_over(envelope);
            return Delivery::Awaited;
        }
        // Without a message in it, it takes any that is no larger than the limit, or a sender could wait for ever.
        if self.bytes == 0 {
            account.add(cost);
        } else if envelope.mailbox_cost() > room || account.charge(cost).is_err() {
            return Delivery::Full(envelope);
        }
        self.bytes += envelope.mailbox_cost();
        self.queue.push_back(envelope);
        Delivery::Queued
    }

    /// Delivers what the system itself has to say, which was charged before. Returns whether the actor waits for it.
    pub(super) fn deliver_notice(&mut self, notice: Envelope) -> bool {
        if self.is_awaited(&notice) {
            self.hand_over(notice);
            return true;
        }
        self.bytes += notice.mailbox_cost();
        self.queue.push_back(notice);
        false
    }

    fn is_awaited(&self, envelope: &Envelope) -> bool {
        self.awaited.as_ref().is_some_and(|filter| filter.matches(envelope))
    }

    fn hand_over(&mut self, envelope: Envelope) {
        self.awaited = None;
        self.delivered = Some((envelope, self.queue.len()));
    }

    /// Takes the first that matches out of the queue. It stays charged.
    pub(super) fn take(&mut self, filter: &Filter) -> Option<Envelope> {
        let index = self.queue.iter().position(|envelope| filter.matches(envelope))?;
        let envelope = self.queue.remove(index)?;
        self.bytes -= envelope.mailbox_cost();
        Some(envelope)
    }

    /// From now on, what matches is handed over directly.
    pub(super) fn wait_for(&mut self, filter: Filter) {
        self.awaited = Some(filter);
    }

    pub(super) fn take_delivered(&mut self) -> Option<Envelope> {
        self.delivered.take().map(|(envelope, _)| envelope)
    }

    /// Ends a wait. What came for it in the meantime goes to where it would be if nobody had waited.
    pub(super) fn stop_waiting(&mut self) {
        self.awaited = None;
        if let Some((envelope, before)) = self.delivered.take() {
            self.bytes += envelope.mailbox_cost();
            self.queue.insert(before.min(self.queue.len()), envelope);
        }
    }

    pub(super) fn has_waiting_senders(&self) -> bool {
        !self.senders.is_empty()
    }

    /// Queues a sender, or renews its waker. One that was admitted and found no room after all has its old place again.
    /// Returns its ticket.
    pub(super) fn wait_for_room(&mut self, ticket: Option<u64>, cost: usize, waker: &Waker) -> u64 {
        if let Some(waiting) = ticket.and_then(|ticket| self.senders.iter_mut().find(|waiting| waiting.ticket == ticket)) {
            waiting.waker.clone_from(waker);
            return waiting.ticket;
        }
        let ticket = ticket.unwrap_or_else(|| {
            self.next_ticket += 1;
            self.next_ticket
        });
        let place = self.senders.partition_point(|waiting| waiting.ticket < ticket);
        self.senders.insert(place, Waiting { ticket, cost, waker: waker.clone() });
        ticket
    }

    pub(super) fn forget_sender(&mut self, ticket: u64) {
        self.senders.retain(|waiting| waiting.ticket != ticket);
    }

    /// The senders whose messages fit into `room` now, in the order in which they came; at least one when no message
    /// is queued.
    pub(super) fn admit(&mut self, mut room: usize) -> Vec<Waker> {
        let mut admitted = Vec::new();
        while let Some(first) = self.senders.front() {
            let fits = first.cost <= room || (self.bytes == 0 && admitted.is_empty());
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
        left.extend(self.take_delivered());
        (left, self.senders.drain(..).map(|waiting| waiting.waker).collect())
    }
}

#[cfg(test)]
mod tests;
