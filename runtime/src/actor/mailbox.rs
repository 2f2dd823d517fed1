//! The queue of one actor: bounded in bytes, received from selectively, first in first out for each sender.
//!
//! Plain data without a lock of its own; [`Actor`](super::Actor) guards it.

mod line;

use std::collections::VecDeque;
use std::task::Waker;

use self::line::{Line, SHARES};
use super::account::Account;
use super::inbox::{Inbox, Received};
use super::{ActorId, Envelope, Filter};

/// Who delivers a message.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Origin {
    /// `None`: no actor.
    pub(super) sender: Option<ActorId>,
    /// Its place among those that wait, if it has one.
    pub(super) ticket: Option<u64>,
}

/// How much more a mailbox takes, and what it takes at once, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) free: usize,
    share: usize,
}

impl Room {
    pub(super) fn new(free: usize, limit: usize) -> Self {
        Self { free, share: share(limit) }
    }
}

/// What is let in at once of a mailbox of that limit, and counted at once by who receives.
pub(super) fn share(limit: usize) -> usize {
    limit / SHARES
}

/// What each delivery looks at is in front, side by side.
#[derive(Default)]
#[repr(C)]
pub(super) struct Mailbox {
    /// Cost of the messages in the queue and in the inbox.
    bytes: usize,
    /// `None`: no sender has waited yet.
    line: Option<Box<Line>>,
    queue: VecDeque<Envelope>,
    /// What the actor waits for.
    awaited: Option<Filter>,
    /// Messages in the inbox of the actor, which still take room.
    in_inbox: usize,
    /// What came for `awaited`, and how much was queued before it. It never was in the queue, so it takes no room there.
    delivered: Option<(Envelope, usize)>,
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
        self.queue.len() + self.in_inbox + usize::from(self.delivered.is_some())
    }

    /// Whether nothing has come since the inbox was filled.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn awaited(&self) -> Option<&Filter> {
        self.awaited.as_ref()
    }

    pub(super) fn waiting_senders(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.len())
    }

    /// Hands over past the queue what the actor waits for, however full the queue is: the wait could not end otherwise.
    /// Whatever it takes in is charged to `account`.
    pub(super) fn deliver(&mut self, envelope: Envelope, from: Origin, room: Room, account: &Account) -> Delivery {
        let size = envelope.mailbox_cost();
        let delivery = self.try_deliver(envelope, size, from, room, account);
        if let Some(line) = self.line.as_mut().filter(|_| !matches!(delivery, Delivery::Full(_))) {
            line.count_turn(from, size, room.share);
        }
        delivery
    }

    fn try_deliver(&mut self, envelope: Envelope, size: usize, from: Origin, room: Room, account: &Account) -> Delivery {
        let cost = envelope.cost();
        let is_let_in = self.is_let_in(from, size);
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
        } else if size > room.free || account.charge(cost).is_err() {
            return Delivery::Full(envelope);
        }
        self.bytes += size;
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

    /// Hands all that has come to the inbox, where it still takes room.
    pub(super) fn fill(&mut self, inbox: &mut Inbox) {
        self.in_inbox += self.queue.len();
        let received = inbox.fill(&mut self.queue);
        self.count(received);
    }

    /// What was received takes room no longer. It stays charged.
    pub(super) fn count(&mut self, received: Received) {
        self.in_inbox -= received.messages;
        self.bytes -= received.bytes;
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

    /// Whether a message of that size comes before those of others that wait.
    fn is_let_in(&self, from: Origin, size: usize) -> bool {
        self.line.as_ref().is_none_or(|line| line.is_let_in(from, size))
    }

    pub(super) fn has_waiting_senders(&self) -> bool {
        self.waiting_senders() > 0
    }

    /// Queues a sender, or renews its waker. One that was let in and found no room after all keeps its place. Returns its
    /// ticket.
    pub(super) fn wait_for_room(&mut self, from: Origin, cost: usize, waker: &Waker) -> u64 {
        self.line.get_or_insert_default().wait(from, cost, waker)
    }

    pub(super) fn forget_sender(&mut self, ticket: u64) {
        if let Some(line) = &mut self.line {
            line.forget(ticket);
        }
    }

    /// Lets in senders, in the order in which they came: as many as there are free shares, or whose messages fit, where one is
    /// larger than a share. When the actor has nothing to receive, one is let in for whose message there is room; at least
    /// the first when no message is queued. Returns whom to wake.
    pub(super) fn admit(&mut self, room: Room) -> Vec<Waker> {
        let mut free = room.free;
        let mut admitted = Vec::new();
        let Some(line) = &mut self.line else { return admitted };
        if free < room.share && self.queue.len() + self.in_inbox > 0 && self.awaited.is_none() {
            return admitted;
        }
        for (place, waiting) in line.iter_mut().enumerate() {
            if waiting.cost > free && (self.bytes > 0 || place > 0) {
                break;
            }
            free = free.saturating_sub(waiting.cost.max(room.share));
            if !std::mem::replace(&mut waiting.is_let_in, true) {
                admitted.push(waiting.waker.clone());
            }
        }
        admitted
    }

    /// Empties it when its actor has ended: the senders that wait learn that by trying again.
    pub(super) fn close(&mut self) -> (VecDeque<Envelope>, Vec<Waker>) {
        self.awaited = None;
        (self.bytes, self.in_inbox) = (0, 0);
        let mut left = std::mem::take(&mut self.queue);
        left.extend(self.take_delivered());
        (left, self.line.take().map_or_else(Vec::new, |line| line.leave()))
    }
}

#[cfg(test)]
#[cfg(not(interleavings))]
mod tests;
