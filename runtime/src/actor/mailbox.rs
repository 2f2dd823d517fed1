//! The queue of one actor: bounded in bytes, received from selectively, first in first out for each sender.
//!
//! Plain data without a lock of its own; [`Actor`](super::Actor) guards it.

use std::collections::VecDeque;
use std::task::Waker;

use super::account::Account;
use super::{Envelope, Filter};

/// A sender that waits for room. It has its place until its message is delivered, or it gives up.
struct Waiting {
    ticket: u64,
    cost: usize,
    waker: Waker,
    /// There is room for its message, and it was told so.
    is_let_in: bool,
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
    /// In the order of their tickets, which is that of their coming.
    senders: VecDeque<Waiting>,
    next_ticket: u64,
}

/// What became of a delivery.
pub(super) enum Delivery {
    /// The actor was waiting for it: wake it.
    Awaited,
    /// It lies in the queue.
    Queued,
    /// There is no room, or others came first.
    Full(Envelope),
}

impl Mailbox {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + usize::from(self.delivered.is_some())
    }

    pub(super) fn awaited(&self) -> Option<&Filter> {
        self.awaited.as_ref()
    }

    pub(super) fn waiting_senders(&self) -> usize {
        self.senders.len()
    }

    /// Hands over past the queue what the actor waits for, however full the queue is: the wait could not end otherwise.
    /// Whatever it takes in is charged to `account`. The sender has a `ticket` if it waited.
    pub(super) fn deliver(&mut self, envelope: Envelope, ticket: Option<u64>, room: usize, account: &Account) -> Delivery {
        let cost = envelope.cost();
        let is_let_in = self.is_let_in(ticket);
        // By tag, it may wait for this one alone; whatever comes first, it gets from those who came first.
        let passes = is_let_in || matches!(self.awaited, Some(Filter::Tags(_)));
        if passes && self.is_awaited(&envelope) {
            account.add(cost);
            self.hand_over(envelope);
            return Delivery::Awaited;
        }
        if !is_let_in {
            return Delivery::Full(envelope);
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

    fn place(&self, ticket: u64) -> Option<usize> {
        self.senders.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }

    /// Whether a sender comes before those that wait.
    fn is_let_in(&self, ticket: Option<u64>) -> bool {
        match ticket {
            None => self.senders.is_empty(),
            Some(ticket) => self.place(ticket).is_some_and(|place| self.senders[place].is_let_in),
        }
    }

    /// Queues a sender, or renews its waker. One that was let in and found no room after all keeps its place. Returns its
    /// ticket.
    pub(super) fn wait_for_room(&mut self, ticket: Option<u64>, cost: usize, waker: &Waker) -> u64 {
        if let Some((ticket, place)) = ticket.and_then(|ticket| Some((ticket, self.place(ticket)?))) {
            let waiting = &mut self.senders[place];
            waiting.waker.clone_from(waker);
            waiting.is_let_in = false;
            return ticket;
        }
        self.next_ticket += 1;
        self.senders.push_back(Waiting { ticket: self.next_ticket, cost, waker: waker.clone(), is_let_in: false });
        self.next_ticket
    }

    pub(super) fn forget_sender(&mut self, ticket: u64) {
        if let Some(place) = self.place(ticket) {
            self.senders.remove(place);
        }
    }

    /// Lets in the senders whose messages fit into `room`, in the order in which they came; at least the first when no
    /// message is queued. Returns whom to wake.
    pub(super) fn admit(&mut self, mut room: usize) -> Vec<Waker> {
        let mut admitted = Vec::new();
        for (place, waiting) in self.senders.iter_mut().enumerate() {
            if waiting.cost > room && (self.bytes > 0 || place > 0) {
                break;
            }
            room = room.saturating_sub(waiting.cost);
            if !std::mem::replace(&mut waiting.is_let_in, true) {
                admitted.push(waiting.waker.clone());
            }
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
#[cfg(not(interleavings))]
mod tests;
