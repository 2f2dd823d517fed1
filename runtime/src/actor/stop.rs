//! What actors hear when the app stops: each a message of its own choice, if it asked for one.

use super::sync::{AtomicBool, Ordering};
use super::turn::wake;
use super::{Actor, Envelope, Message, System};

/// Whether the app is stopping.
#[derive(Default)]
pub(super) struct Stopping(AtomicBool);

impl System {
    /// When the app stops, `actor` gets this message, past a full mailbox, and has the grace period to end. A message that
    /// it gave before is replaced. While the app stops already, it comes at once.
    ///
    /// # Errors
    /// What the actor would have in all, in bytes, where that is beyond its memory.
    pub fn on_stop(&self, actor: &Actor, message: Message) -> Result<(), u64> {
        actor.charge_memory(message.cost() as u64)?;
        let mut inner = actor.lock();
        if !inner.alive {
            return Ok(());
        }
        if let Some(before) = inner.relations().stop_message.replace(message) {
            actor.release_memory(before.cost() as u64);
        }
        drop(inner);
        // After the message is in place: whoever begins to stop sees one or the other.
        if self.stopping.0.load(Ordering::SeqCst) {
            actor.tell_of_stop();
        }
        Ok(())
    }

    /// Tells all who asked that the app stops. Returns how many.
    pub fn tell_of_stop(&self) -> usize {
        self.stopping.0.store(true, Ordering::SeqCst);
        self.all().iter().filter(|actor| actor.tell_of_stop()).count()
    }

    /// Whether one that was told is alive.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        self.all().iter().any(|actor| {
            let inner = actor.lock();
            inner.alive && inner.known().is_some_and(|known| known.is_told)
        })
    }
}

impl Actor {
    /// Whether it wanted to know.
    fn tell_of_stop(&self) -> bool {
        let mut inner = self.lock();
        let Some(message) = inner.relations.as_mut().and_then(|known| known.stop_message.take()) else { return false };
        inner.relations().is_told = true;
        let waker = if inner.mailbox.deliver_notice(Envelope::Message(message)) { inner.waker.clone() } else { None };
        drop(inner);
        wake(waker);
        true
    }
}
