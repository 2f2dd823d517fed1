//! Links, monitors, and what an end means for them.

use std::sync::Arc;

use super::handle::Inner;
use super::{Actor, ActorId, Envelope, ExitReason};

impl Actor {
    /// Links two actors, both ways; `tag` is what either hears of the other's end, 0 for none. An existing link gets the
    /// new tag. Linking to one that has ended is answered as its end would be.
    pub fn link(self: &Arc<Self>, peer: &Arc<Self>, tag: i64) {
        self.link_tagged(peer, tag, tag);
    }

    pub(super) fn link_tagged(self: &Arc<Self>, peer: &Arc<Self>, own_tag: i64, peer_tag: i64) {
        if Arc::ptr_eq(self, peer) {
            return;
        }
        let peer_alive = {
            // In order of id, as every pair of these locks is taken.
            let (mut own, mut other) = if self.id < peer.id {
                let own = self.lock();
                (own, peer.lock())
            } else {
                let other = peer.lock();
                (self.lock(), other)
            };
            if own.alive && other.alive {
                own.links.insert(peer.id, (Arc::clone(peer), own_tag));
                other.links.insert(self.id, (Arc::clone(self), peer_tag));
            }
            other.alive
        };
        if !peer_alive {
            self.link_missed(peer.id, own_tag);
        }
    }

    /// Answers a link to an actor that does not exist (any more).
    pub fn link_missed(&self, peer: ActorId, tag: i64) {
        self.hear_of_end(peer, tag, None);
    }

    /// Takes a link away, both ways. None there: nothing happens.
    pub fn unlink(&self, peer: &Self) {
        self.lock().links.remove(&peer.id);
        peer.lock().links.remove(&self.id);
    }

    /// From now on `self` hears of the end of `watched`, if that one is alive.
    pub fn monitor(self: &Arc<Self>, watched: &Self) {
        let mut inner = watched.lock();
        if inner.alive {
            inner.monitors.insert(self.id, Arc::clone(self));
        }
    }

    /// Takes back [`Self::monitor`].
    pub fn stop_monitoring(&self, watched: &Self) {
        watched.lock().monitors.remove(&self.id);
    }

    /// A linked actor ended abnormally, or was never there.
    fn hear_of_end(&self, id: ActorId, tag: i64, cause: Option<Arc<ExitReason>>) {
        let waker = {
            let mut inner = self.lock();
            if !inner.alive {
                return;
            }
            if inner.dies_with_links {
                drop(inner);
                self.end(ExitReason::LinkDied { id, cause });
                return;
            }
            inner.signal(Envelope::LinkDied { tag })
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Marks the end: nothing reaches this actor from now on, and all that concerns others is told to them. Returns its
    /// names.
    pub(super) fn finish(&self, reason: &Arc<ExitReason>) -> Vec<String> {
        let (links, monitors, names, senders) = {
            let mut inner = self.lock();
            inner.alive = false;
            inner.waker = None;
            // Dropped behind the lock: resources in messages close connections.
            let (left, senders) = inner.mailbox.close();
            let links = std::mem::take(&mut inner.links);
            let monitors = std::mem::take(&mut inner.monitors);
            let names = std::mem::take(&mut inner.names);
            let charge = inner.charge.take();
            drop(inner);
            drop((left, charge));
            (links, monitors, names, senders)
        };
        for waker in senders {
            waker.wake();
        }
        for (peer, _) in links.into_values() {
            let Some((_, tag)) = peer.lock().links.remove(&self.id) else { continue };
            if !reason.is_normal() {
                peer.hear_of_end(self.id, tag, Some(Arc::clone(reason)));
            }
        }
        for watcher in monitors.into_values() {
            let waker = watcher.lock().signal(Envelope::ActorDied(self.id));
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        names
    }
}

impl Inner {
    /// Delivers what the system has to say. Returns whom to wake.
    fn signal(&mut self, envelope: Envelope) -> Option<std::task::Waker> {
        if self.alive && self.mailbox.deliver_signal(envelope) { self.waker.clone() } else { None }
    }
}
