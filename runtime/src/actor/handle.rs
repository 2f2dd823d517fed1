//! The shared side of one actor: what others reach it by.

use std::sync::{Arc, PoisonError};
use std::task::Waker;

use super::account::Account;
use super::brief::Brief;
use super::gate::Gate;
use super::inbox::Inbox;
use super::link::Relations;
use super::look::Look;
use super::mailbox::{Mailbox, Room};
use super::quota::{Charge, Quota};
use super::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use super::turn::{Body, wake};
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
///
/// In this order: a core that writes takes a whole cache line from the others. What its senders look at comes first, so that
/// a message to one that is in no cache takes as few lines as possible: two, where its block begins with a line. What its own
/// task writes for each message comes last, and between them is what is seldom written.
#[repr(C)]
pub struct Actor {
    pub(super) account: Account,
    pub(super) mailbox_limit: usize,
    inner: Mutex<Inner>,
    pub(super) id: ActorId,
    /// What it may spawn.
    quota: Arc<Quota>,
    class: Arc<str>,
    pub(super) look: Look,
    /// Whether its end was decided: what its task asks each time that it runs, without the lock.
    is_ending: AtomicBool,
    /// How many it holds back, up to 255: what its task asks each time that it pauses, without the lock.
    pub(super) held_back: AtomicU8,
    pub(super) brief: Brief,
    /// Whether it received what still takes room in its mailbox: what its task asks each time that it pauses, without the lock.
    pub(super) uncounted: AtomicBool,
    /// Whether somebody wanted to give it a turn while it had one.
    pub(super) turn_again: AtomicBool,
    pub(super) own: Own,
    pub(super) body: Body,
}

/// What its own task alone writes, for each message.
#[derive(Default)]
pub(super) struct Own {
    pub(super) inbox: Mutex<Inbox>,
    /// What is left in its inbox.
    pub(super) at_hand: AtomicUsize,
    /// What it received and is done with, which is still charged, in bytes.
    pub(super) unreleased: AtomicU64,
}

/// All that other actors change. Held for a few instructions, never across an await or a call into other code. What each
/// message needs is in front.
#[repr(C)]
pub(super) struct Inner {
    pub(super) alive: bool,
    pub(super) dies_with_links: bool,
    pub(super) mailbox: Mailbox,
    /// Of its task, from the first poll on.
    pub(super) waker: Option<Waker>,
    /// `None` for the many that have none.
    pub(super) relations: Option<Box<Relations>>,
    /// Set once: the end that others decided for it.
    pub(super) killed: Option<ExitReason>,
    /// Holds back those that it has spawned.
    pub(super) gate: Gate,
    /// Its place in its spawner's quota, given back at its end.
    pub(super) charge: Option<Charge>,
}

impl Actor {
    #[inline]
    pub(super) fn new(id: ActorId, class: Arc<str>, limits: ActorLimits, quota: Arc<Quota>, charge: Option<Charge>) -> Self {
        let inner = Inner {
            alive: true,
            mailbox: Mailbox::default(),
            relations: None,
            dies_with_links: true,
            killed: None,
            gate: Gate::default(),
            waker: None,
            charge,
        };
        let account = Account::new(limits.memory);
        Self {
            id,
            class,
            mailbox_limit: limits.mailbox,
            account,
            quota,
            held_back: AtomicU8::new(0),
            brief: Brief::default(),
            is_ending: AtomicBool::new(false),
            look: Look::default(),
            own: Own::default(),
            body: Body::default(),
            turn_again: AtomicBool::new(false),
            uncounted: AtomicBool::new(false),
            inner: Mutex::new(inner),
        }
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
        ActorLimits { memory: self.account.limit(), mailbox: self.mailbox_limit }
    }

    /// From now on, it may use so much memory.
    pub fn set_memory_limit(&self, bytes: u64) {
        self.account.set_limit(bytes);
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
        self.account.charge(bytes).or_else(|_| {
            self.release_unreleased();
            self.account.charge(bytes)
        })
    }

    /// Gives back what was charged.
    pub fn release_memory(&self, bytes: u64) {
        self.account.release(bytes);
    }

    /// Gives back, from its own task, what a message was charged that it received and is done with. When more is to be counted
    /// soon, then: whoever sends to it charges the same account.
    pub(crate) fn release_received(&self, bytes: u64) {
        if self.uncounted.load(Ordering::Relaxed) {
            self.own.unreleased.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.account.release(bytes);
        }
    }

    pub(super) fn release_unreleased(&self) {
        if self.own.unreleased.load(Ordering::Relaxed) > 0 {
            self.account.release(self.own.unreleased.swap(0, Ordering::Relaxed));
        }
    }

    /// What is charged to it, in bytes: its body, what is queued for it, and what the host holds for it.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.account.used()
    }

    /// Ends it, at the next point where it suspends or is preempted. Once this has returned, no other end comes first,
    /// unless it had one already.
    pub fn kill(&self) {
        self.end(ExitReason::Killed);
    }

    /// From now on, whether it dies with a linked actor (the default) or gets a message.
    pub fn set_dies_with_links(&self, dies: bool) {
        self.lock().dies_with_links = dies;
    }

    pub(super) fn end(&self, reason: ExitReason) {
        let waker = self.decide_end(&mut self.lock(), reason);
        wake(waker);
    }

    /// Decides its end, unless that is decided. Returns whom to wake.
    pub(super) fn decide_end(&self, inner: &mut Inner, reason: ExitReason) -> Option<Waker> {
        if !inner.alive || inner.killed.is_some() {
            return None;
        }
        inner.killed = Some(reason);
        self.is_ending.store(true, Ordering::Release);
        inner.waker.clone()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// What its mailbox has room for.
    pub(super) fn room(&self, inner: &Inner) -> Room {
        let memory = usize::try_from(self.account.room()).unwrap_or(usize::MAX);
        let free = self.mailbox_limit.saturating_sub(inner.mailbox.bytes()).min(memory);
        Room::new(free, self.mailbox_limit)
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
