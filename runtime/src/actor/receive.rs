//! Receiving: selectively, with an optional deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::handle::Inner;
use super::sync::MutexGuard;
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
struct Wait<'a> {
    actor: &'a Actor,
    stage: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    /// It was armed just now: what comes since then wakes the task.
    Armed,
    /// Something may have come.
    Waiting,
    Done,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.stage != Stage::Done {
            self.actor.lock().mailbox.stop_waiting();
        }
    }
}

impl Future for Wait<'_> {
    type Output = Envelope;

    /// The actor's own task polls this, and the sender wakes that task: no waker to register here.
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Envelope> {
        if self.stage == Stage::Armed {
            self.stage = Stage::Waiting;
            return Poll::Pending;
        }
        let Some(envelope) = self.actor.lock().mailbox.take_delivered() else { return Poll::Pending };
        self.stage = Stage::Done;
        Poll::Ready(envelope)
    }
}

pin_project! {
    /// A wait, until `timeout` ends. Written out, since an `async` block has room for each twice, and most actors wait.
    struct Deadline<'a, T> {
        wait: Wait<'a>,
        #[pin]
        timeout: Option<T>,
    }
}

impl<T: Future<Output = ()>> Future for Deadline<'_, T> {
    type Output = Option<Envelope>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Envelope>> {
        let this = self.project();
        // What came together with the deadline is still taken.
        if let Poll::Ready(envelope) = Pin::new(this.wait).poll(context) {
            return Poll::Ready(Some(envelope));
        }
        match this.timeout.as_pin_mut().map(|timeout| timeout.poll(context)) {
            Some(Poll::Ready(())) => Poll::Ready(None),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl Actor {
    /// Receives, from its own task, the first message that `filter` takes, including those that came before the call.
    ///
    /// `None`: nothing came within `timeout`. Cancel-safe: no message is lost. What it returns stays charged to the actor's
    /// memory, [`Envelope::cost`], until the receiver gives that back.
    pub async fn receive(&self, filter: Filter, timeout: Option<Duration>) -> Option<Envelope> {
        if timeout == Some(Duration::ZERO) {
            return self.take(&filter);
        }
        match self.take_or_wait(filter) {
            None => self.waited(timeout.map(tokio::time::sleep)).await,
            received => received,
        }
    }

    /// The first half of [`Self::receive`], for who needs no future when a message is there: `None` begins a wait, which
    /// [`Self::waited`] is to go on with before anything else.
    pub(crate) fn take_or_wait(&self, filter: Filter) -> Option<Envelope> {
        match self.take_or_lock(&filter) {
            Ok(envelope) => Some(envelope),
            Err(mut inner) => {
                inner.mailbox.wait_for(filter);
                self.admit_senders(inner);
                None
            }
        }
    }

    /// `None`: `timeout` has ended.
    pub(crate) fn waited<T: Future<Output = ()>>(&self, timeout: Option<T>) -> impl Future<Output = Option<Envelope>> {
        Deadline { wait: Wait { actor: self, stage: Stage::Armed }, timeout }
    }

    /// Takes, from its own task, what is there already, as [`Self::receive`] does.
    pub fn take(&self, filter: &Filter) -> Option<Envelope> {
        self.take_or_lock(filter).map_err(|inner| self.admit_senders(inner)).ok()
    }

    /// Starts to wait for a tag, then runs `send`, then waits, without a look at what was queued before. Arming the wait
    /// first means that a reply which comes at once is not lost. `None`: `timeout` has ended.
    ///
    /// # Errors
    /// What `send` returns.
    pub async fn call<E>(
        &self,
        tag: i64,
        timeout: Option<impl Future<Output = ()>>,
        send: impl Future<Output = Result<(), E>>,
    ) -> Result<Option<Envelope>, E> {
        self.lock().mailbox.wait_for(Filter::Tags(vec![tag]));
        let wait = Wait { actor: self, stage: Stage::Waiting };
        send.await?;
        Ok(Deadline { wait, timeout }.await)
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
