//! Charges what Wasmtime allocates for a guest to its actor.

use std::sync::Arc;

use crate::actor::Actor;

/// Bytes of one table element, as the pooling allocator reserves them.
const TABLE_ELEMENT_BYTES: u64 = 16;

/// The account of one guest's linear memory and tables.
pub(crate) struct MemoryAccount {
    actor: Arc<Actor>,
    /// See [`Self::refused`].
    refused: Option<u64>,
}

impl MemoryAccount {
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self { actor, refused: None }
    }

    /// What it would have had, in bytes, when it was refused memory, unless it found its way since: it got some, or went
    /// on to receive a message.
    pub(crate) fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// It goes on without: what happens to it from now on has another cause.
    pub(crate) fn forget_refusal(&mut self) {
        self.refused = None;
    }

    fn grow(&mut self, current: u64, desired: u64) -> bool {
        match self.actor.charge_memory(desired.saturating_sub(current)) {
            Ok(()) => {
                self.refused = None;
                true
            }
            Err(wanted) => {
                self.refused = Some(wanted);
                false
            }
        }
    }
}

impl wasmtime::ResourceLimiter for MemoryAccount {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current as u64, desired as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}
