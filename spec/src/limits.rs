//! What one actor may use, with the defaults and the bounds that are refused beyond.

use serde::{Deserialize, Serialize};

use crate::{MemoryBytes, SpecError};

/// The most memory that one actor can have: what 32-bit WebAssembly can address.
pub const MAX_MEMORY: MemoryBytes = MemoryBytes(4 << 30);
/// Less than one WebAssembly page holds no module.
const MIN_MEMORY: MemoryBytes = MemoryBytes(64 << 10);
/// Room for a Rust or C program and a modest heap (an empty Rust program takes 1.1 MiB).
const DEFAULT_MEMORY: MemoryBytes = MemoryBytes(16 << 20);
/// Room for thousands of small messages.
const DEFAULT_MAILBOX: MemoryBytes = MemoryBytes(1 << 20);
/// Below this, a mailbox would refuse ordinary messages.
const MIN_MAILBOX: MemoryBytes = MemoryBytes(4 << 10);
/// Actors of one app beyond which process-wide tables stop being small.
const MAX_ACTORS: u32 = 1_000_000;

/// Number of actors.
pub type ActorCount = u32;

/// Limits of each actor of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Memory of one actor: linear memories, tables, and bytes in its mailbox. Growth beyond it fails.
    pub memory: MemoryBytes,
    /// Bytes of messages that wait in its mailbox; a sender to a full mailbox is suspended.
    pub mailbox: MemoryBytes,
    /// Actors that it may have alive at once, counting those that they spawn in turn.
    pub actors: ActorCount,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: DEFAULT_MEMORY, mailbox: DEFAULT_MAILBOX, actors: 1_000 }
    }
}

impl Limits {
    pub(crate) fn validate(&self, path: &str) -> Result<(), SpecError> {
        let out_of_range =
            |field: &str, value: String, range| Err(SpecError::OutOfRange { path: format!("{path}.{field}"), value, range });
        if self.memory < MIN_MEMORY || self.memory > MAX_MEMORY {
            return out_of_range("memory", self.memory.to_string(), "64Ki to 4Gi");
        }
        if self.mailbox < MIN_MAILBOX || self.mailbox > self.memory {
            return out_of_range("mailbox", self.mailbox.to_string(), "4Ki or more, and no more than `memory`");
        }
        if self.actors > MAX_ACTORS {
            return out_of_range("actors", self.actors.to_string(), "0 to 1000000");
        }
        Ok(())
    }
}
