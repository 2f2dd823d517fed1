//! What travels between actors.

use std::any::Any;

use smallvec::SmallVec;
use thin_vec::ThinVec;

use super::ActorId;

/// Bytes of a message that lie in the message itself. Most are no longer; an allocation that one thread makes and another one
/// frees costs as much as all else that their mailbox does for them.
const SHORT_BYTES: usize = 64;

/// The bytes of a message.
pub type Data = SmallVec<[u8; SHORT_BYTES]>;

/// Something of the host that moves with a message, such as a connection.
pub struct Resource {
    value: Box<dyn Any + Send>,
    /// What it keeps of the host's memory, in bytes, beyond [`RESOURCE_BYTES`].
    bytes: usize,
}

impl Resource {
    pub(crate) fn new<T: Any + Send>(value: T, bytes: usize) -> Self {
        Self { value: Box::new(value), bytes }
    }

    pub(crate) fn is<T: Any>(&self) -> bool {
        self.value.is::<T>()
    }

    /// What it is, where it is a `T`.
    pub(crate) fn downcast<T: Any>(self) -> Option<T> {
        self.value.downcast().ok().map(|value| *value)
    }

    /// Bytes that it costs who holds it.
    pub(crate) fn cost(&self) -> usize {
        RESOURCE_BYTES.saturating_add(self.bytes)
    }
}

/// Cost of a message beyond its bytes, charged with them: its place in the queue and its allocation.
const OVERHEAD_BYTES: usize = 64;
/// Cost of a resource in a message: the host's structures behind it.
const RESOURCE_BYTES: usize = 256;
/// Cost of the news that a linked or monitored actor ended. It is set aside when the link or monitor is made, so that the
/// news itself is never refused.
pub(super) const NOTICE_BYTES: u64 = 64;

/// A message: bytes, with an optional tag to select it by and resources that move with it.
#[derive(Default)]
pub struct Message {
    /// 0: untagged.
    pub tag: i64,
    /// Its bytes.
    pub data: Data,
    /// Its resources; `None` where one was taken out.
    pub resources: ThinVec<Option<Resource>>,
}

impl Message {
    /// Bytes that it takes in a mailbox.
    #[must_use]
    pub fn cost(&self) -> usize {
        let resources: usize = self.resources.iter().map(|slot| slot.as_ref().map_or(RESOURCE_BYTES, Resource::cost)).sum();
        Self::cost_of(self.data.len()).saturating_add(resources)
    }

    /// The same of one without resources.
    pub(crate) fn cost_of(bytes: usize) -> usize {
        bytes.saturating_add(OVERHEAD_BYTES)
    }
}

/// What lies in a mailbox.
pub enum Envelope {
    /// A message of an actor.
    Message(Message),
    /// A linked actor ended abnormally; only for an actor that does not die with its links.
    LinkDied {
        /// The tag that the link was made with; 0: none.
        tag: i64,
    },
    /// A monitored actor ended, in whatever way.
    ActorDied(ActorId),
}

impl Envelope {
    pub(super) fn tag(&self) -> i64 {
        match self {
            Self::Message(message) => message.tag,
            Self::LinkDied { tag } => *tag,
            Self::ActorDied(_) => 0,
        }
    }

    /// Bytes that it takes of its receiver's memory until that one is done with it.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Message(message) => message.cost() as u64,
            Self::LinkDied { .. } | Self::ActorDied(_) => NOTICE_BYTES,
        }
    }

    /// Bytes that it takes of `limits.mailbox`.
    pub(super) fn mailbox_cost(&self) -> usize {
        match self {
            Self::Message(message) => message.cost(),
            Self::LinkDied { .. } | Self::ActorDied(_) => 0,
        }
    }
}
