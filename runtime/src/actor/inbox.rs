//! What an actor has taken out of its mailbox and not received yet. Its own task's alone: it meets its senders at the lock of
//! the mailbox once for all that has come, instead of once for each message.
//!
//! It stays part of the mailbox for everybody else. What it receives takes room there until that is counted: when it is an
//! eighth of the mailbox, when the inbox is filled again, and whenever the actor suspends or sends to itself.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::handle::Inner;
use super::sync::{MutexGuard, Ordering};
use super::{Actor, Envelope, Filter, mailbox};

#[derive(Default)]
pub(super) struct Inbox {
    queue: VecDeque<Envelope>,
    received: Received,
}

/// What still takes room in the mailbox.
#[derive(Default)]
pub(super) struct Received {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Inbox {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// What has to be counted.
    pub(super) fn received(&mut self) -> Received {
        std::mem::take(&mut self.received)
    }

    /// Takes the first that matches, of those behind the first `skipped`.
    pub(super) fn take(&mut self, filter: &Filter, skipped: usize) -> Option<Envelope> {
        let index = match filter {
            Filter::Any => skipped,
            Filter::Tags(_) => skipped + self.queue.iter().skip(skipped).position(|envelope| filter.matches(envelope))?,
        };
        let envelope = if index == 0 { self.queue.pop_front() } else { self.queue.remove(index) }?;
        self.received.messages += 1;
        self.received.bytes += envelope.mailbox_cost();
        Some(envelope)
    }

    /// Appends what has come. Returns what was received, to be counted.
    pub(super) fn fill(&mut self, come: &mut VecDeque<Envelope>) -> Received {
        if self.queue.is_empty() {
            std::mem::swap(&mut self.queue, come);
        } else {
            self.queue.append(come);
        }
        self.received()
    }
}

impl Actor {
    /// Takes the first that matches, of all that has come. Else returns the lock: nothing comes before that is given back.
    pub(super) fn take_or_lock(&self, filter: &Filter) -> Result<Envelope, MutexGuard<'_, Inner>> {
        // Of an inbox without anything in it or to count, nobody needs the lock.
        if self.at_hand() == 0 && !self.uncounted.load(Ordering::Relaxed) {
            let inner = self.lock();
            if inner.mailbox.is_empty() {
                return Err(inner);
            }
        }
        let (mut inbox, share) = (self.inbox(), mailbox::share(self.mailbox_limit));
        if let Some(envelope) = inbox.take(filter, 0) {
            self.own.at_hand.store(inbox.len(), Ordering::Relaxed);
            self.note_uncounted(true);
            if inbox.received.bytes >= share {
                self.count_with(inbox);
            }
            return Ok(envelope);
        }
        let searched = inbox.len();
        let mut inner = self.lock();
        inner.mailbox.fill(&mut inbox);
        let taken = if inbox.len() > searched { inbox.take(filter, searched) } else { None };
        self.own.at_hand.store(inbox.len(), Ordering::Relaxed);
        if inbox.received.bytes >= share {
            inner.mailbox.count(inbox.received());
        }
        self.note_uncounted(inbox.received.messages > 0);
        let Some(envelope) = taken else { return Err(inner) };
        self.admit_senders(inner);
        Ok(envelope)
    }

    /// How many it can take, at the least, without a look at its mailbox.
    pub(crate) fn at_hand(&self) -> usize {
        self.own.at_hand.load(Ordering::Relaxed)
    }

    /// Has what it received take room no longer. Only its own task does so.
    pub(super) fn count_received(&self) {
        if self.uncounted.load(Ordering::Relaxed) {
            self.count_with(self.inbox());
        }
    }

    fn count_with(&self, mut inbox: MutexGuard<'_, Inbox>) {
        self.note_uncounted(false);
        let mut inner = self.lock();
        inner.mailbox.count(inbox.received());
        self.admit_senders(inner);
    }

    /// Others read what lies beside it: it is written only when it changes.
    fn note_uncounted(&self, is: bool) {
        if self.uncounted.load(Ordering::Relaxed) != is {
            if !is {
                self.release_unreleased();
            }
            self.uncounted.store(is, Ordering::Relaxed);
        }
    }

    /// What it has not received, at its end.
    pub(super) fn leave_inbox(&self) -> Inbox {
        std::mem::take(&mut *self.inbox())
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.own.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
