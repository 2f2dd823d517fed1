//! The shared side of one actor: what others reach it by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::mailbox::Mailbox;
use super::quota::{Charge, Quota};
use super::{ActorId, ExitReason};

/// What one actor may use, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct ActorLimits {
    /// All of its memory: what its body charges, and its mailbox.
    pub memory: u64,
    /// Its mailbox alone.
    pub mailbox: usize,
}

/// An actor, as everybody but itself sees it. It outlives its end as long as somebody holds it, and is then dead.
pub struct Actor {
    pub(super) id: ActorId,
    class: Arc<str>,
    limits: ActorLimits,
    /// What its body charged, in bytes.
    body_memory: AtomicU64,
    /// What it may spawn.
    quota: Arc<Quota>,
    inner: Mutex<Inner>,
}

/// All that other actors change. Held for a few instructions, never across an await or a call into other code.
pub(super) struct Inner {
    pub(super) alive: bool,
    pub(super) mailbox: Mailbox,
    /// Linked actors and the tag that this one gave to the link.
    pub(super) links: HashMap<ActorId, (Arc<Actor>, i64)>,
    /// Who wants to know of this one's end.
    pub(super) monitors: HashMap<ActorId, Arc<Actor>>,
    pub(super) names: Vec<String>,
    pub(super) dies_with_links: bool,
    /// Set once: the end that others decided for it.
    pub(super) killed: Option<ExitReason>,
    /// Of its task, from the first poll on.
    pub(super) waker: Option<Waker>,
    /// Its place in its spawner's quota, given back at its end.
    pub(super) charge: Option<Charge>,
}

impl Actor {
    pub(super) fn new(id: ActorId, class: Arc<str>, limits: ActorLimits, quota: Arc<Quota>, charge: Option<Charge>) -> Self {
        let inner = Inner {
            alive: true,
            mailbox: Mailbox::default(),
            links: HashMap::new(),
            monitors: HashMap::new(),
            names: Vec::new(),
            dies_with_links: true,
            killed: None,
            waker: None,
            charge,
        };
        Self { id, class, limits, body_memory: AtomicU64::new(0), quota, inner: Mutex::new(inner) }
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.id
    }

    /// Name of its class.
    #[must_use]
    pub fn class(&self) -> &Arc<str> {
        &self.class
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> ActorLimits {
        self.limits
    }

    /// What it may spawn.
    #[must_use]
    pub fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Charges memory of its body, or that the host holds for it.
    ///
    /// # Errors
    /// What it would have in all, in bytes, when that is beyond its limit. Nothing is charged then.
    pub fn charge_memory(&self, bytes: u64) -> Result<(), u64> {
        let mailbox = self.lock().mailbox.bytes() as u64;
        let mut wanted = 0;
        let charged = self.body_memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |body| {
            let body = body.saturating_add(bytes);
            wanted = body.saturating_add(mailbox);
            (wanted <= self.limits.memory).then_some(body)
        });
        charged.map(drop).map_err(|_| wanted)
    }

    /// Charges what it has already: a message that was charged to its mailbox, and was received from there.
    pub fn move_to_memory(&self, bytes: u64) {
        self.body_memory.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back what was charged.
    pub fn release_memory(&self, bytes: u64) {
        self.body_memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What its body has charged, in bytes.
    #[must_use]
    pub fn body_memory(&self) -> u64 {
        self.body_memory.load(Ordering::Relaxed)
    }

    /// Ends it, at the next point where it suspends or is preempted.
    pub fn kill(&self) {
        self.end(ExitReason::Killed);
    }

    /// From now on, whether it dies with a linked actor (the default) or gets a message.
    pub fn set_dies_with_links(&self, dies: bool) {
        self.lock().dies_with_links = dies;
    }

    pub(super) fn end(&self, reason: ExitReason) {
        let waker = {
            let mut inner = self.lock();
            if !inner.alive || inner.killed.is_some() {
                return;
            }
            inner.killed = Some(reason);
            inner.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Bytes of messages that its mailbox has room for.
    pub(super) fn room(&self, inner: &Inner) -> usize {
        let queued = inner.mailbox.bytes();
        let memory = self.limits.memory.saturating_sub(self.body_memory()).saturating_sub(queued as u64);
        self.limits.mailbox.saturating_sub(queued).min(usize::try_from(memory).unwrap_or(usize::MAX))
    }

    /// No code that can panic runs under the lock but allocation, so a poisoned one is still consistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actor").field("id", &self.id).field("class", &self.class).finish_non_exhaustive()
    }
}
