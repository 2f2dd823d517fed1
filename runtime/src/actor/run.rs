//! What one actor runs: polls its body until that ends or somebody ends it, then buries it.
//!
//! It is written out rather than an `async` block, in which what is awaited would have its place twice: every live actor pays
//! for that in memory, every spawn in copying.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use super::exit::Ended;
use super::gate::Pause;
use super::system::Counted;
use super::{Actor, Exit, ExitReason};

pin_project! {
    pub(super) struct Run<F> {
        actor: Arc<Actor>,
        // Who hears of its end, beside its links.
        told: Option<oneshot::Sender<Exit>>,
        // `None` after the end.
        #[pin]
        body: Option<F>,
        // Dropped last: whoever waits for the end of all tasks finds nothing of them.
        system: Counted,
    }
}

impl<F> Run<F> {
    pub(super) fn new(system: Counted, actor: Arc<Actor>, told: Option<oneshot::Sender<Exit>>, body: F) -> Self {
        Self { actor, told, body: Some(body), system }
    }
}

impl<F: Future<Output: Into<Ended>>> Run<F> {
    /// Of an end that was decided by others, the reason is found by [`Actor::finish`].
    fn poll_body(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let mut this = self.project();
        // Whoever decides its end after this wakes it: its waker is in place.
        if this.actor.is_ending() {
            this.body.set(None);
            return Poll::Ready(ExitReason::Killed.into());
        }
        this.actor.look.runs();
        // Who says nothing else suspends.
        Pause::Suspended.note();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Pending };
        // A panic of the host ends this actor only, and its links hear of it.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| body.poll(context)));
        let pause = Pause::noted();
        match polled {
            Ok(Poll::Pending) => {
                this.actor.look.pauses(pause);
                this.actor.count_received();
                Poll::Pending
            }
            Ok(Poll::Ready(ended)) => {
                this.body.set(None);
                Poll::Ready(ended.into())
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                drop(std::panic::catch_unwind(AssertUnwindSafe(|| this.body.set(None))));
                Poll::Ready(ExitReason::HostFault(text.unwrap_or_else(|| "panic".to_owned())).into())
            }
        }
    }
}

impl<F: Future<Output: Into<Ended>>> Future for Run<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Poll::Ready(ended) = self.as_mut().poll_body(context) else { return Poll::Pending };
        let this = self.project();
        this.system.bury(this.actor, ended, this.told.take());
        Poll::Ready(())
    }
}
