//! Receiving: selectively, with an optional deadline.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::MutexGuard;
use std::task::{Context, Poll};
use std::time::Duration;

use super::handle::Inner;
use super::{Actor, Envelope};

/// What a receive takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Whatever comes first.
    Any,
    /// Only what carries one of these tags. What has none (tag 0) never matches.
    Tags(Vec<i64>),
}

impl Filter {
    pub(super) fn matches(&self, envelope: &Envelope) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => {
                let tag = envelope.tag();
                tag != 0 && tags.contains(&tag)
            }
        }
    }
}

/// Ends the wait however its future ends, so that a timeout or a kill loses no message and changes no order.
struct Wait<'a>(&'a Actor);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.lock().mailbox.stop_waiting();
    }
}

impl Future for Wait<'_> {
    type Output = Envelope;

    /// The actor's own task polls this, and the sender wakes that task: no waker to register here.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Envelope> {
        match self.0.lock().mailbox.take_delivered() {
            Some(envelope) => Poll::Ready(envelope),
            None => Poll::Pending,
        }
    }
}

impl Actor {
    /// Receives, from its own task, the first message that `filter` takes, including those that came before the call.
    ///
    /// `None`: nothing came within `timeout`. Cancel-safe: no message is lost. What it returns stays charged to the actor's
    /// memory, [`Envelope::cost`], until the receiver gives that back.
    pub async fn receive(&self, filter: Filter, timeout: Option<Duration>) -> Option<Envelope> {
        {
            let mut inner = self.lock();
            if let Some(envelope) = inner.mailbox.take(&filter) {
                self.admit_senders(inner);
                return Some(envelope);
            }
            if timeout == Some(Duration::ZERO) {
                return None;
            }
            inner.mailbox.wait_for(filter);
        }
        deadline(Wait(self), timeout).await
    }

    /// Takes, from its own task, what is there already, as [`Self::receive`] does.
    pub fn take(&self, filter: &Filter) -> Option<Envelope> {
        let mut inner = self.lock();
        let envelope = inner.mailbox.take(filter)?;
        self.admit_senders(inner);
        Some(envelope)
    }

    /// Starts to wait for a tag, then runs `send`, then waits, without a look at what was queued before. Arming the wait
    /// first means that a reply which comes at once is not lost.
    ///
    /// # Errors
    /// What `send` returns.
    pub async fn call<E>(
        &self,
        tag: i64,
        timeout: Option<Duration>,
        send: impl Future<Output = Result<(), E>>,
    ) -> Result<Option<Envelope>, E> {
        self.lock().mailbox.wait_for(Filter::Tags(vec![tag]));
        let wait = Wait(self);
        send.await?;
        Ok(deadline(wait, timeout).await)
    }

    /// Wakes the senders for whom there is room now, with the lock given back.
    pub(super) fn admit_senders(&self, mut inner: MutexGuard<'_, Inner>) {
        if !inner.mailbox.has_waiting_senders() {
            return;
        }
        let room = self.room(&inner);
        let admitted = inner.mailbox.admit(room);
        drop(inner);
        for waker in admitted {
            waker.wake();
        }
    }
}

/// A receive without a deadline costs no timer.
async fn deadline(wait: Wait<'_>, timeout: Option<Duration>) -> Option<Envelope> {
    let Some(timeout) = timeout else { return Some(wait.await) };
    let mut wait = pin!(wait);
    // What came together with the deadline is still taken: the wait is polled first.
    tokio::select! {
        biased;
        envelope = &mut wait => Some(envelope),
        () = tokio::time::sleep(timeout) => None,
    }
}
