//! The task of one actor: polls its body until that ends or somebody ends it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Actor, ExitReason};

pub(super) struct Task<F> {
    actor: Arc<Actor>,
    /// `None` after the end.
    body: Option<Pin<Box<F>>>,
}

impl<F> Task<F> {
    pub(super) fn new(actor: Arc<Actor>, body: F) -> Self {
        Self { actor, body: Some(Box::pin(body)) }
    }
}

impl<F: Future<Output = ExitReason>> Future for Task<F> {
    type Output = ExitReason;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<ExitReason> {
        {
            let mut inner = self.actor.lock();
            if let Some(reason) = inner.killed.clone() {
                drop(inner);
                self.body = None;
                return Poll::Ready(reason);
            }
            match &mut inner.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
        let Some(body) = &mut self.body else { return Poll::Pending };
        // A panic of the host ends this actor only, and its links hear of it.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(reason)) => {
                self.body = None;
                Poll::Ready(reason)
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                let body = self.body.take();
                drop(std::panic::catch_unwind(AssertUnwindSafe(|| drop(body))));
                Poll::Ready(ExitReason::HostFault(text.unwrap_or_else(|| "panic".to_owned())))
            }
        }
    }
}
