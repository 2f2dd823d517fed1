//! Sending: to a mailbox with room at once, to a full one after a wait.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::mailbox::{Delivery, Origin};
use super::turn::Wake;
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
    /// Whether a message that takes `cost` bytes of a mailbox can be delivered to this actor at all.
    ///
    /// # Errors
    /// [`SendError::TooLarge`].
    pub(crate) fn takes(&self, cost: usize) -> Result<(), SendError> {
        let limit = self.mailbox_limit;
        if cost > limit {
            return Err(SendError::TooLarge { receiver: self.id, cost, limit });
        }
        Ok(())
    }

    /// Delivers a message of `sender` to this actor if it can without waiting; else the message comes back. A dead one drops it.
    ///
    /// # Errors
    /// [`SendError::TooLarge`].
    pub fn try_send(self: &Arc<Self>, message: Message, sender: Option<ActorId>) -> Result<Option<Message>, SendError> {
        self.takes(message.cost())?;
        Ok(match self.try_deliver(Envelope::Message(message), sender, None) {
            Some(Envelope::Message(message)) => Some(message),
            _ => None,
        })
    }

    /// Delivers a message to this actor, and waits while its mailbox is full. A dead one drops it.
    ///
    /// `sender` is the actor whose task this is: one that sends to itself when full is ended, since nobody else could
    /// make room.
    ///
    /// # Errors
    /// [`SendError::TooLarge`].
    pub async fn send(self: &Arc<Self>, message: Message, sender: Option<&Self>) -> Result<(), SendError> {
        self.count_if(sender);
        let id = sender.map(|sender| sender.id);
        let Some(message) = self.try_send(message, id)? else { return Ok(()) };
        // What writing it had charged.
        let _held = sender.map(|sender| sender.account.hold(message.cost() as u64));
        let mut left = Some(Envelope::Message(message));
        self.when_there_is_room(sender, |place, waker| {
            let Some(envelope) = left.take() else { return true };
            left = self.try_deliver(envelope, id, Some((place, waker)));
            left.is_none()
        })
        .await;
        Ok(())
    }

    /// Like [`Self::send`], for a message that `make` makes at each attempt, always the same: nobody holds it while it waits.
    ///
    /// # Errors
    /// [`SendError::TooLarge`].
    pub(crate) async fn send_made(self: &Arc<Self>, make: impl Fn() -> Message, sender: &Self) -> Result<(), SendError> {
        self.count_if(Some(sender));
        if self.try_send(make(), Some(sender.id))?.is_none() {
            return Ok(());
        }
        self.when_there_is_room(Some(sender), |place, waker| {
            self.try_deliver(Envelope::Message(make()), Some(sender.id), Some((place, waker))).is_none()
        })
        .await;
        Ok(())
    }

    /// Who sends to itself has the room that it made by receiving.
    fn count_if(&self, sender: Option<&Self>) {
        if self.is(sender) {
            self.count_received();
        }
    }

    fn is(&self, sender: Option<&Self>) -> bool {
        sender.is_some_and(|sender| std::ptr::eq(sender, self))
    }

    /// Waits until `deliver` has delivered, which found no room before.
    async fn when_there_is_room(&self, sender: Option<&Self>, mut deliver: impl FnMut(&mut Place<'_>, &Waker) -> bool) {
        if self.is(sender) {
            self.end(ExitReason::MailboxFull);
        }
        let mut place = Place { receiver: self, ticket: None };
        poll_fn(|context| if deliver(&mut place, context.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// `Some`: there is no room for it, or others came first. Who waits has its place then, under the same lock: it hears of
    /// all room that is made from here on.
    fn try_deliver(
        self: &Arc<Self>,
        envelope: Envelope,
        sender: Option<ActorId>,
        waits: Option<(&mut Place<'_>, &Waker)>,
    ) -> Option<Envelope> {
        let wake = {
            let mut inner = self.lock();
            if !inner.alive {
                return None;
            }
            let room = self.room(&inner);
            let from = Origin { sender, ticket: waits.as_ref().and_then(|(place, _)| place.ticket) };
            match inner.mailbox.deliver(envelope, from, room, &self.account) {
                Delivery::Awaited => inner.waker.as_ref().map(Wake::by),
                Delivery::Queued => None,
                Delivery::Full(envelope) => {
                    if let Some((place, waker)) = waits {
                        place.ticket = Some(inner.mailbox.wait_for_room(from, envelope.mailbox_cost(), waker));
                    }
                    return Some(envelope);
                }
            }
        };
        if let Some(wake) = wake {
            self.wake_for_message(wake);
        }
        None
    }
}
