//! The task of one actor: polls its body until that ends or somebody ends it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::exit::Ended;
use super::gate::{HeldBack, Pause};
use super::{Actor, ExitReason};

pub(super) struct Task<F> {
    actor: Arc<Actor>,
    /// Until its spawner lets it go.
    held_back: Option<HeldBack>,
    /// `None` after the end.
    body: Option<Pin<Box<F>>>,
}

impl<F> Task<F> {
    pub(super) fn new(actor: Arc<Actor>, held_back: Option<HeldBack>, body: F) -> Self {
        Self { actor, held_back, body: Some(Box::pin(body)) }
    }

    /// Whether its end was decided.
    fn is_killed(&self, context: &Context<'_>) -> bool {
        let mut inner = self.actor.lock();
        match &mut inner.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        inner.killed.is_some()
    }
}

impl<F: Future<Output: Into<Ended>>> Future for Task<F> {
    type Output = Ended;

    /// Of an end that was decided by others, the reason is found by [`Actor::finish`].
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        if self.held_back.as_ref().is_some_and(|spawner| spawner.is_held(context)) {
            return Poll::Pending;
        }
        self.held_back = None;
        if self.is_killed(context) {
            self.body = None;
            return Poll::Ready(ExitReason::Killed.into());
        }
        let Some(body) = &mut self.body else { return Poll::Pending };
        // A panic of the host ends this actor only, and its links hear of it.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context)));
        let pause = Pause::take();
        match polled {
            Ok(Poll::Pending) => {
                self.actor.pass_gate(pause);
                Poll::Pending
            }
            Ok(Poll::Ready(ended)) => {
                self.body = None;
                Poll::Ready(ended.into())
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                let body = self.body.take();
                drop(std::panic::catch_unwind(AssertUnwindSafe(|| drop(body))));
                Poll::Ready(ExitReason::HostFault(text.unwrap_or_else(|| "panic".to_owned())).into())
            }
        }
    }
}
