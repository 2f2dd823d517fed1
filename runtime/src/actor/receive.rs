//! Receiving: selectively, with an optional deadline.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::gate::Pause;
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
    /// What comes from here on wakes the task.
    Armed,
    /// Something may have come.
    Waiting,
    /// It is over, or somebody else goes on with it.
    Done,
}

/// When a wait began that is gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Began {
    /// Just now, in the same poll: what has come since wakes the task.
    Now,
    /// Before: what was waited for may be there.
    Before,
}

/// How far a wait came.
pub(crate) enum Waited {
    /// To its end. `None`: time is over.
    Over(Option<Envelope>),
    /// The actor is asked to settle. It goes on to wait then, [`Began::Now`], before anything else.
    Asked,
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

/// A wait, until `timeout` ends. Written out, since an `async` block has room for each twice, and most actors wait.
struct Deadline<'a, T> {
    wait: Wait<'a>,
    timeout: Pin<&'a mut Option<T>>,
}

impl<T: Future<Output = ()>> Future for Deadline<'_, T> {
    type Output = Waited;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Waited> {
        let this = &mut *self;
        let begins = this.wait.stage == Stage::Armed;
        // What came together with the deadline is still taken.
        if let Poll::Ready(envelope) = Pin::new(&mut this.wait).poll(context) {
            return Poll::Ready(Waited::Over(Some(envelope)));
        }
        if let Some(Poll::Ready(())) = this.timeout.as_mut().as_pin_mut().map(|timeout| timeout.poll(context)) {
            return Poll::Ready(Waited::Over(None));
        }
        // Only who is woken for nothing may be meant.
        if !begins && this.wait.actor.look.idle.is_asked() {
            this.wait.stage = Stage::Done;
            Pause::Settled.note();
            return Poll::Ready(Waited::Asked);
        }
        // Unless it has settled, which was said.
        if Pause::noted() == Pause::Suspended {
            Pause::Receives.note();
        }
        Poll::Pending
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
            None => self.wait_on(Began::Now, timeout.map(tokio::time::sleep)).await,
            received => received,
        }
    }

    /// Goes on with a wait to its end, for who has nothing to do when it is asked to settle.
    pub(crate) async fn wait_on<T: Future<Output = ()>>(&self, mut began: Began, timeout: Option<T>) -> Option<Envelope> {
        let mut timeout = pin!(timeout);
        loop {
            if let Waited::Over(received) = self.waited(began, timeout.as_mut()).await {
                return received;
            }
            began = Began::Now;
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

    /// Goes on with a wait, until `timeout` ends or the actor is asked to settle.
    pub(crate) fn waited<'a, T: Future<Output = ()>>(
        &'a self,
        began: Began,
        timeout: Pin<&'a mut Option<T>>,
    ) -> impl Future<Output = Waited> + 'a {
        let stage = if began == Began::Now { Stage::Armed } else { Stage::Waiting };
        Deadline { wait: Wait { actor: self, stage }, timeout }
    }

    /// Takes, from its own task, what is there already, as [`Self::receive`] does.
    pub fn take(&self, filter: &Filter) -> Option<Envelope> {
        self.take_or_lock(filter).map_err(|inner| self.admit_senders(inner)).ok()
    }

    /// The first half of a call: begins to wait for a tag, without a look at what was queued before, then runs `send`.
    /// [`Self::waited`] is to go on before anything else, with a wait that [`Began::Before`]: a reply may have come at once.
    ///
    /// # Errors
    /// What `send` returns. Nothing is waited for then.
    pub(crate) async fn send_and_wait<E>(&self, tag: i64, send: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        self.lock().mailbox.wait_for(Filter::Tags(vec![tag]));
        let mut wait = Wait { actor: self, stage: Stage::Waiting };
        send.await?;
        wait.stage = Stage::Done;
        Ok(())
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
