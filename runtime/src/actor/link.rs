//! Links and monitors: who hears of whose end. Each costs memory of the actors that it concerns, with what the news of an
//! end will take.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::handle::Inner;
use super::message::NOTICE_BYTES;
use super::sync::MutexGuard;
use super::turn::wake;
use super::{Actor, ActorId, Envelope, ExitReason, Message};

/// One actor's end of a link: an entry of a map, and the news.
const LINK_BYTES: u64 = 128 + NOTICE_BYTES;
/// A monitor: an entry in a map of either side, and the news. Charged to who watches.
const MONITOR_BYTES: u64 = 192 + NOTICE_BYTES;

/// Why a link or a monitor was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("actor {id} has no memory for one more link or monitor: it would have {wanted} bytes, beyond limits.memory")]
pub struct LinkError {
    /// Who would have to pay for it.
    pub id: ActorId,
    /// What that one would have in all, in bytes.
    pub wanted: u64,
}

/// What binds an actor to others. Most have none of it.
#[derive(Default)]
pub(super) struct Relations {
    /// Linked actors, and the tag by which this one hears of their ends.
    pub(super) links: HashMap<ActorId, (Arc<Actor>, i64)>,
    /// Who hears of this one's end.
    pub(super) watchers: HashMap<ActorId, Arc<Actor>>,
    /// Whose ends this one hears of.
    pub(super) watched: HashMap<ActorId, Arc<Actor>>,
    pub(super) names: HashSet<Arc<str>>,
    /// Pending timers that will send to this one.
    pub(super) timers: HashSet<u64>,
    /// What it wants to be told when the app stops.
    pub(super) stop_message: Option<Message>,
    /// It was told, and has what is left of the grace period.
    pub(super) is_told: bool,
}

/// Two locks, in order of id, as every pair of them is taken.
fn lock_both<'a>(first: &'a Actor, second: &'a Actor) -> (MutexGuard<'a, Inner>, MutexGuard<'a, Inner>) {
    if first.id < second.id {
        let own = first.lock();
        (own, second.lock())
    } else {
        let other = second.lock();
        (first.lock(), other)
    }
}

impl Actor {
    /// Links two actors, both ways; `tag` is what either hears of the other's end, 0 for none. An existing link gets the
    /// new tag. Linking to one that has ended is answered as [`Self::link_missed`] says; one to oneself is none.
    ///
    /// # Errors
    /// One of the two has no memory for it.
    pub fn link(self: &Arc<Self>, peer: &Arc<Self>, tag: i64) -> Result<(), LinkError> {
        if Arc::ptr_eq(self, peer) {
            return Ok(());
        }
        {
            let (mut own, mut other) = lock_both(self, peer);
            if !own.alive {
                return Ok(());
            }
            if other.alive {
                let links = &mut own.relations().links;
                if !links.contains_key(&peer.id) {
                    self.pay(LINK_BYTES)?;
                    peer.pay(LINK_BYTES).inspect_err(|_| self.account.release(LINK_BYTES))?;
                }
                links.insert(peer.id, (Arc::clone(peer), tag));
                other.relations().links.insert(self.id, (Arc::clone(self), tag));
                return Ok(());
            }
            // It is about to tell of its end; the answer to this link is that news already.
            if own.forget_link(peer.id) {
                self.account.release(LINK_BYTES);
            }
        }
        self.link_missed(peer.id, tag)
    }

    /// Links an actor that was just made to its spawner, who hears of its end by `tag`. The new one hears without one.
    pub(super) fn link_spawned(self: &Arc<Self>, spawned: &Arc<Self>, tag: i64) -> Result<(), LinkError> {
        let (mut own, mut new) = lock_both(self, spawned);
        self.pay(LINK_BYTES)?;
        // A class with room for its first instance and not a byte more can still be spawned with a link.
        spawned.account.add(LINK_BYTES);
        own.relations().links.insert(spawned.id, (Arc::clone(spawned), tag));
        new.relations().links.insert(self.id, (Arc::clone(self), 0));
        Ok(())
    }

    /// Answers a link to an actor that does not exist (any more): as if that one had ended badly just now.
    ///
    /// # Errors
    /// There is no memory for the news.
    pub fn link_missed(&self, peer: ActorId, tag: i64) -> Result<(), LinkError> {
        let mut inner = self.lock();
        if !inner.dies_with_links {
            self.pay(NOTICE_BYTES)?;
        }
        let waker = self.hear_of_bad_end(&mut inner, tag, || ExitReason::LinkDied { id: peer, cause: None, last_words: None });
        drop(inner);
        wake(waker);
        Ok(())
    }

    /// Takes a link away, both ways: from now on neither hears of the other's end by it. None there: nothing happens.
    pub fn unlink(&self, peer: ActorId) {
        let Some(peer) = self.lock().known().and_then(|known| known.links.get(&peer)).map(|(peer, _)| Arc::clone(peer)) else {
            return;
        };
        let (mut own, mut other) = lock_both(self, &peer);
        if own.forget_link(peer.id) {
            self.account.release(LINK_BYTES);
        }
        if other.forget_link(self.id) {
            peer.account.release(LINK_BYTES);
        }
    }

    /// From now on `self` hears of the end of `watched`; of one that has ended, at once. Watching oneself is nothing.
    ///
    /// # Errors
    /// `self` has no memory for it.
    pub fn monitor(self: &Arc<Self>, watched: &Arc<Self>) -> Result<(), LinkError> {
        if Arc::ptr_eq(self, watched) {
            return Ok(());
        }
        {
            let (mut own, mut other) = lock_both(self, watched);
            if !own.alive {
                return Ok(());
            }
            if other.alive {
                let own = own.relations();
                if let Entry::Vacant(free) = own.watched.entry(watched.id) {
                    self.pay(MONITOR_BYTES)?;
                    free.insert(Arc::clone(watched));
                    other.relations().watchers.insert(self.id, Arc::clone(self));
                }
                return Ok(());
            }
            if own.forget_watched(watched.id) {
                self.account.release(MONITOR_BYTES);
            }
        }
        self.monitor_missed(watched.id)
    }

    /// Answers a monitor of an actor that does not exist (any more): the news of its end.
    ///
    /// # Errors
    /// There is no memory for the news.
    pub fn monitor_missed(&self, watched: ActorId) -> Result<(), LinkError> {
        self.pay(NOTICE_BYTES)?;
        let waker = self.lock().notice(Envelope::ActorDied(watched));
        wake(waker);
        Ok(())
    }

    /// Takes back [`Self::monitor`].
    pub fn stop_monitoring(&self, watched: ActorId) {
        let Some(watched) = self.lock().known().and_then(|known| known.watched.get(&watched)).map(Arc::clone) else { return };
        let (mut own, mut other) = lock_both(self, &watched);
        if own.forget_watched(watched.id) {
            self.account.release(MONITOR_BYTES);
        }
        other.forget_watcher(self.id);
    }

    fn pay(&self, bytes: u64) -> Result<(), LinkError> {
        self.account.charge(bytes).map_err(|wanted| LinkError { id: self.id, wanted })
    }

    /// The news of a bad end: death, or a message that was paid for. Returns whom to wake.
    fn hear_of_bad_end(
        &self,
        inner: &mut MutexGuard<'_, Inner>,
        tag: i64,
        reason: impl FnOnce() -> ExitReason,
    ) -> Option<std::task::Waker> {
        if inner.dies_with_links { self.decide_end(inner, reason()) } else { inner.notice(Envelope::LinkDied { tag }) }
    }

    /// Tells all whom the end of this actor concerns. Nothing of theirs refers to it afterwards.
    pub(super) fn tell_of_end(&self, relations: Relations, reason: &Arc<ExitReason>, last_words: Option<&Arc<str>>) {
        for (peer, _) in relations.links.into_values() {
            let mut inner = peer.lock();
            let Some((_, tag)) = inner.relations.as_mut().and_then(|known| known.links.remove(&self.id)) else { continue };
            peer.account.release(LINK_BYTES);
            if reason.is_normal() || !inner.alive {
                continue;
            }
            if !inner.dies_with_links {
                peer.account.add(NOTICE_BYTES);
            }
            let waker = peer.hear_of_bad_end(&mut inner, tag, || ExitReason::LinkDied {
                id: self.id,
                cause: Some(Arc::clone(reason)),
                last_words: last_words.cloned(),
            });
            drop(inner);
            wake(waker);
        }
        for watcher in relations.watchers.into_values() {
            let mut inner = watcher.lock();
            if !inner.forget_watched(self.id) {
                continue;
            }
            watcher.account.release(MONITOR_BYTES - NOTICE_BYTES);
            let waker = inner.notice(Envelope::ActorDied(self.id));
            drop(inner);
            wake(waker);
        }
        for watched in relations.watched.into_values() {
            watched.lock().forget_watcher(self.id);
        }
    }
}

impl Inner {
    pub(super) fn relations(&mut self) -> &mut Relations {
        self.relations.get_or_insert_default()
    }

    pub(super) fn known(&self) -> Option<&Relations> {
        self.relations.as_deref()
    }

    fn forget_link(&mut self, peer: ActorId) -> bool {
        self.relations.as_mut().is_some_and(|known| known.links.remove(&peer).is_some())
    }

    fn forget_watched(&mut self, watched: ActorId) -> bool {
        self.relations.as_mut().is_some_and(|known| known.watched.remove(&watched).is_some())
    }

    fn forget_watcher(&mut self, watcher: ActorId) {
        if let Some(known) = &mut self.relations {
            known.watchers.remove(&watcher);
        }
    }

    /// Delivers what the system has to say. Returns whom to wake.
    fn notice(&mut self, envelope: Envelope) -> Option<std::task::Waker> {
        if self.alive && self.mailbox.deliver_notice(envelope) { self.waker.clone() } else { None }
    }
}
