//! The one message that a guest of the Lunatic ABI writes or reads at a time. Its bytes are charged to the guest.

use std::sync::Arc;

use thin_vec::ThinVec;
use wasmtime::{Result, bail};

use crate::actor::{Actor, Data, Envelope, Message, Resource};

/// Capacity that a guest gets at once; more grows as it writes. No larger buffer is used again, either.
const MAX_CAPACITY: usize = 64 << 10;
/// Capacity that a message may have beyond its bytes when it is sent: nobody pays for it.
const SLACK_BYTES: usize = 256;

/// What is being written, or was received last.
pub(crate) struct Scratch {
    actor: Arc<Actor>,
    envelope: Option<Envelope>,
    /// Where reading goes on.
    read_at: usize,
    /// Bytes that are charged for it.
    charged: u64,
}

impl Scratch {
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self { actor, envelope: None, read_at: 0, charged: 0 }
    }

    /// Starts a message. `capacity` is a hint. What was there before is dropped, and its buffer used again: who answers a
    /// message needs no new one.
    pub(super) fn start(&mut self, tag: i64, capacity: u64) {
        let mut data = match self.replace(None) {
            Some(Envelope::Message(before)) if before.data.capacity() <= MAX_CAPACITY => before.data,
            _ => Data::new(),
        };
        data.clear();
        data.reserve(usize::try_from(capacity).unwrap_or(usize::MAX).min(MAX_CAPACITY));
        self.envelope = Some(Envelope::Message(Message { tag, data, resources: ThinVec::new() }));
    }

    /// Keeps what was received, which stays charged until the next.
    pub(super) fn received(&mut self, envelope: Envelope) {
        let bytes = envelope.cost();
        self.replace(Some(envelope));
        self.charged = bytes;
    }

    /// What is there, of whatever kind.
    pub(super) fn envelope(&self) -> Result<&Envelope> {
        match &self.envelope {
            Some(envelope) => Ok(envelope),
            None => bail!("there is no message"),
        }
    }

    pub(super) fn message(&mut self) -> Result<&mut Message> {
        match &mut self.envelope {
            Some(Envelope::Message(message)) => Ok(message),
            Some(_) => bail!("what was received is no message, but the end of a process"),
            None => bail!("there is no message"),
        }
    }

    /// Appends bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.message()?;
        self.charge(u64::try_from(bytes.len())?)?;
        self.message()?.data.extend_from_slice(bytes);
        Ok(())
    }

    fn charge(&mut self, bytes: u64) -> Result<()> {
        if let Err(wanted) = self.actor.charge_memory(bytes) {
            bail!("writing the message takes {wanted} bytes in all, beyond limits.memory of {}", self.actor.limits().memory);
        }
        self.charged += bytes;
        Ok(())
    }

    /// The next `len` bytes at the most.
    pub(super) fn read(&mut self, len: usize) -> Result<&[u8]> {
        let at = self.read_at;
        let data = &self.message()?.data;
        let Some(rest) = data.len().checked_sub(at) else {
            bail!("reading at {at}, behind the end of the message");
        };
        let end = at + rest.min(len);
        self.read_at = end;
        Ok(self.message()?.data.get(at..end).unwrap_or_default())
    }

    pub(super) fn seek(&mut self, at: usize) -> Result<()> {
        self.message()?;
        self.read_at = at;
        Ok(())
    }

    /// Takes the message out.
    pub(crate) fn take(&mut self) -> Result<Message> {
        self.message()?;
        match self.replace(None) {
            Some(Envelope::Message(mut message)) => {
                if message.data.capacity() - message.data.len() > SLACK_BYTES {
                    message.data.shrink_to_fit();
                }
                Ok(message)
            }
            _ => bail!("there is no message"),
        }
    }

    /// Moves a resource into the message. Returns its index.
    pub(super) fn push(&mut self, resource: Resource) -> Result<u64> {
        self.message()?;
        self.charge(u64::try_from(resource.cost())?)?;
        let resources = &mut self.message()?.resources;
        resources.push(Some(resource));
        Ok(u64::try_from(resources.len())?.saturating_sub(1))
    }

    /// Moves a resource out of the message. One of another type stays.
    pub(super) fn pull<T: 'static>(&mut self, index: u64) -> Result<T> {
        let slot = self.message()?.resources.get_mut(usize::try_from(index)?);
        let right = slot.filter(|slot| slot.as_ref().is_some_and(|resource| resource.is::<T>()));
        match right.and_then(Option::take).and_then(Resource::downcast) {
            Some(resource) => Ok(resource),
            None => bail!("the message has no such resource at {index}"),
        }
    }

    fn replace(&mut self, envelope: Option<Envelope>) -> Option<Envelope> {
        self.actor.release_memory(std::mem::take(&mut self.charged));
        self.read_at = 0;
        std::mem::replace(&mut self.envelope, envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::{ActorLimits, Prepare, Quota, System};

    fn scratch(memory: u64) -> Scratch {
        let limits = ActorLimits { memory, mailbox: 1 << 10 };
        let prepare = Prepare { class: "test".into(), limits, quota: Quota::new(0, None), counts_in: None };
        Scratch::new(System::default().prepare(prepare).unwrap())
    }

    #[test]
    fn a_message_is_charged_up_to_the_limit_and_given_back() {
        let mut scratch = scratch(10);
        assert!(scratch.append(b"x").is_err(), "nothing was started");
        scratch.start(0, u64::MAX);
        scratch.append(&[0; 10]).unwrap();
        let error = scratch.append(&[0]).unwrap_err().to_string();
        assert!(error.contains("11 bytes") && error.contains("limits.memory of 10"), "{error}");
        assert_eq!(scratch.take().unwrap().data.len(), 10);
        assert_eq!(scratch.actor.memory(), 0);
    }

    #[test]
    fn what_was_received_is_charged_until_the_next() {
        let mut scratch = scratch(100);
        let message = Envelope::Message(Message { data: Data::from_elem(7, 9), ..Message::default() });
        // As its mailbox did.
        scratch.actor.charge_memory(message.cost()).unwrap();
        scratch.received(message);
        assert_eq!(scratch.actor.memory(), 64 + 9);
        assert_eq!(scratch.read(4).unwrap(), [7; 4]);
        assert_eq!(scratch.read(99).unwrap(), [7; 5]);
        assert_eq!(scratch.read(1).unwrap(), [0; 0]);
        scratch.seek(10).unwrap();
        assert!(scratch.read(1).is_err());
        scratch.start(0, 0);
        assert_eq!(scratch.actor.memory(), 0);
    }

    #[test]
    fn a_message_is_sent_in_no_more_memory_than_it_pays_for() {
        let mut scratch = scratch(1 << 20);
        scratch.start(0, u64::MAX);
        scratch.append(b"x").unwrap();
        assert!(scratch.take().unwrap().data.capacity() <= 1 + SLACK_BYTES);
    }

    #[test]
    fn the_buffer_of_what_was_received_is_used_for_the_answer_unless_it_is_large() {
        let mut scratch = scratch(1 << 20);
        for (capacity, is_used) in [(MAX_CAPACITY, true), (MAX_CAPACITY + 1, false)] {
            let message = Message { data: Data::with_capacity(capacity), ..Message::default() };
            let before = message.data.as_ptr();
            let message = Envelope::Message(message);
            scratch.actor.charge_memory(message.cost()).unwrap();
            scratch.received(message);
            scratch.start(0, 10);
            assert!(scratch.message().unwrap().data.is_empty());
            assert_eq!(scratch.message().unwrap().data.as_ptr() == before, is_used);
        }
    }

    #[test]
    fn a_resource_of_another_type_stays() {
        let mut scratch = scratch(256);
        scratch.start(0, 0);
        assert_eq!(scratch.push(Resource::new(5u8, 0)).unwrap(), 0);
        assert!(scratch.pull::<u16>(0).is_err());
        assert_eq!(scratch.pull::<u8>(0).unwrap(), 5);
        assert!(scratch.pull::<u8>(0).is_err());
        assert!(scratch.push(Resource::new(5u8, 0)).is_err(), "a second one is beyond the limit");
    }
}
