//! Sending: to a mailbox with room at once, to a full one after a wait.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::mailbox::Delivery;
use super::{Actor, ActorId, Envelope, ExitReason, Message};

/// Why a message can never be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It is larger than the whole mailbox.
    #[error("a message of {cost} bytes never fits into the mailbox of actor {receiver}: its limits.mailbox is {limit} bytes")]
    TooLarge {
        /// Who was to get it.
        receiver: ActorId,
        /// What it takes in a mailbox, in bytes.
        cost: usize,
        /// What the mailbox holds, in bytes.
        limit: usize,
    },
}

/// A sender's place in the queue for room. However the wait ends, the place goes to the next.
struct Place<'a> {
    receiver: &'a Actor,
    ticket: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut inner = self.receiver.lock();
            inner.mailbox.forget_sender(ticket);
            self.receiver.admit_senders(inner);
        }
    }
}

impl Actor {
    /// Delivers a message to this actor, and waits while its mailbox is full. A dead one drops it.
    ///
    /// `sender` is the actor whose task this is: one that sends to itself when full is ended, since nobody else could
    /// make room.
    ///
    /// # Errors
    /// [`SendError::TooLarge`].
    pub async fn send(&self, message: Message, sender: Option<&Self>) -> Result<(), SendError> {
        let cost = message.cost();
        if cost > self.limits().mailbox {
            return Err(SendError::TooLarge { receiver: self.id, cost, limit: self.limits().mailbox });
        }
        let mut left = match self.try_deliver(Envelope::Message(message), false) {
            None => return Ok(()),
            left => left,
        };
        if sender.is_some_and(|sender| std::ptr::eq(sender, self)) {
            self.end(ExitReason::MailboxFull);
        }
        let mut place = Place { receiver: self, ticket: None };
        poll_fn(|context| self.poll_deliver(&mut left, cost, &mut place, context)).await;
        Ok(())
    }

    fn poll_deliver(&self, left: &mut Option<Envelope>, cost: usize, place: &mut Place<'_>, context: &Context<'_>) -> Poll<()> {
        let Some(envelope) = left.take() else { return Poll::Ready(()) };
        // One that has waited is let through before those that still wait.
        let Some(envelope) = self.try_deliver(envelope, place.ticket.is_some()) else { return Poll::Ready(()) };
        *left = Some(envelope);
        let mut inner = self.lock();
        place.ticket = Some(inner.mailbox.wait_for_room(place.ticket, cost, context.waker()));
        // Room may have been made between the attempt and this lock.
        self.admit_senders(inner);
        Poll::Pending
    }

    /// `Some`: there is no room for it, or others came first.
    fn try_deliver(&self, envelope: Envelope, has_waited: bool) -> Option<Envelope> {
        let waker = {
            let mut inner = self.lock();
            if !inner.alive {
                return None;
            }
            let room = if inner.mailbox.has_waiting_senders() && !has_waited { 0 } else { self.room(&inner) };
            match inner.mailbox.deliver(envelope, room, &self.account) {
                Delivery::Awaited => inner.waker.clone(),
                Delivery::Queued => None,
                Delivery::Full(envelope) => return Some(envelope),
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }
}
