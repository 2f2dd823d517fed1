//! Identity of an actor.

use std::fmt;

/// Unique in its [`System`](crate::actor::System), counted up from 1, never used again. 0 means "none" in guest ABIs.
///
/// The upper 16 bits are kept free for the number of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId(pub u64);

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
