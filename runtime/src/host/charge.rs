//! What the host holds for an actor, on that actor's account.

use std::sync::Arc;

use crate::actor::Actor;

/// Bytes that are charged to an actor until this is dropped.
pub(crate) struct Charge {
    actor: Arc<Actor>,
    bytes: u64,
}

/// The actor has no memory for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this takes {wanted} bytes in all, beyond limits.memory of {limit}")]
pub(crate) struct NoMemory {
    wanted: u64,
    limit: u64,
}

impl Charge {
    pub(crate) fn new(actor: &Arc<Actor>, bytes: u64) -> Result<Self, NoMemory> {
        match actor.charge_memory(bytes) {
            Ok(()) => Ok(Self { actor: Arc::clone(actor), bytes }),
            Err(wanted) => Err(NoMemory { wanted, limit: actor.limits().memory }),
        }
    }

    /// Charges more.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), NoMemory> {
        match self.actor.charge_memory(bytes) {
            Ok(()) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(wanted) => Err(NoMemory { wanted, limit: self.actor.limits().memory }),
        }
    }

    /// What is charged.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.actor.release_memory(self.bytes);
    }
}
