//! Messages that are sent later.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::sync::{AtomicU64, Mutex, Ordering};
use super::{Actor, Message};

/// Timers that may be pending at once in one system: those of actors that have ended are charged to nobody.
const MAX_TIMERS: usize = 100_000;
/// What a timer takes beside its message: its task, and an entry of the timer wheel.
const TIMER_BYTES: u64 = 448;

/// Why a timer was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimerError {
    /// Too many in the whole system.
    #[error("{MAX_TIMERS} timers are pending already")]
    TooMany,
    /// Its message is beyond the memory of its owner, which would have so many bytes.
    #[error("the message of a timer is charged to its owner, who would have {wanted} bytes, beyond limits.memory")]
    Memory {
        /// What the owner would have, in bytes.
        wanted: u64,
    },
}

/// What a pending message costs its owner.
struct Charged {
    owner: Arc<Actor>,
    bytes: u64,
}

impl Charged {
    fn new(owner: &Arc<Actor>, message: &Message) -> Result<Self, TimerError> {
        let bytes = message.cost() as u64 + TIMER_BYTES;
        owner.charge_memory(bytes).map_err(|wanted| TimerError::Memory { wanted })?;
        Ok(Self { owner: Arc::clone(owner), bytes })
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.owner.release_memory(self.bytes);
    }
}

struct Pending {
    task: AbortHandle,
    receiver: Weak<Actor>,
}

#[derive(Default)]
pub(super) struct Timers {
    next: AtomicU64,
    pending: Arc<Mutex<HashMap<u64, Pending>>>,
}

impl Timers {
    /// Sends to `receiver` after `delay`, whether or not the owner lives on. Ends with the receiver.
    pub(super) fn send_after(
        &self,
        owner: &Arc<Actor>,
        receiver: Option<Arc<Actor>>,
        message: Message,
        delay: Duration,
    ) -> Result<u64, TimerError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(receiver) = receiver else { return Ok(id) };
        let charged = Charged::new(owner, &message)?;
        let mut timers = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if timers.len() >= MAX_TIMERS {
            return Err(TimerError::TooMany);
        }
        // The lock is held until it is known by both: whoever ends or cancels comes before or after.
        if !receiver.keep_timer(id) {
            return Ok(id);
        }
        let (pending, weak) = (Arc::clone(&self.pending), Arc::downgrade(&receiver));
        let task = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            receiver.forget_timer(id);
            if let Err(error) = receiver.send(message, None).await {
                tracing::debug!(%error, "a timer's message was dropped");
            }
            // Only now it is the receiver's: while that one's mailbox is full, it stays with its owner.
            drop(charged);
        });
        timers.insert(id, Pending { task: task.abort_handle(), receiver: weak });
        Ok(id)
    }

    /// Whether it was pending.
    pub(super) fn cancel(&self, id: u64) -> bool {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let Some(pending) = pending else { return false };
        pending.task.abort();
        if let Some(receiver) = pending.receiver.upgrade() {
            receiver.forget_timer(id);
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Actor {
    /// Whether it is alive to get what a timer sends.
    fn keep_timer(&self, id: u64) -> bool {
        let mut inner = self.lock();
        inner.alive && inner.relations().timers.insert(id)
    }

    fn forget_timer(&self, id: u64) {
        if let Some(known) = &mut self.lock().relations {
            known.timers.remove(&id);
        }
    }
}
