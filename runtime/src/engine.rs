//! Everything about Wasmtime that is not a host function: one configuration, compiling, pooling, preemption.

mod clock;
mod config;
mod fuel;
mod limiter;
mod pool;
mod precompiled;
mod preempt;
mod program;
mod trap;

pub(crate) use clock::Clock;
pub(crate) use fuel::{Fuel, counted};
pub(crate) use limiter::MemoryAccount;
pub use pool::PoolSize;
pub use precompiled::Compiler;
use preempt::{Preempted, Turns};
pub use program::{Program, ProgramError};
pub(crate) use trap::trap_text;

use std::sync::Arc;

use crate::guest::Guest;

/// Compiles modules and holds what all instances share.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    clock: Arc<Clock>,
    turns: Turns,
    linker: wasmtime::Linker<Guest>,
}

impl Engine {
    /// An engine with room for so many actors. Its clock for preemption runs as long as it exists.
    ///
    /// # Errors
    /// The host lacks what Wasmtime needs, such as address space.
    pub fn new(size: PoolSize) -> wasmtime::Result<Self> {
        Self::with_reset(size, config::Reset::detect())
    }

    fn with_reset(size: PoolSize, reset: config::Reset) -> wasmtime::Result<Self> {
        let wasmtime = pool::engine(size, reset)?;
        let clock = Clock::start(&wasmtime)?;
        let linker = crate::host::linker(&wasmtime)?;
        Ok(Self { wasmtime, clock, turns: Turns::default(), linker })
    }

    /// Compiles a module and links its imports. Takes milliseconds to seconds of CPU: call it where blocking is allowed.
    ///
    /// # Errors
    /// What is wrong with the module, named by `name`.
    pub fn compile(&self, name: &str, bytes: &[u8]) -> Result<Program, ProgramError> {
        Program::compile(&self.wasmtime, &self.linker, name, bytes)
    }

    /// Maps a module that was compiled before, and links its imports.
    ///
    /// # Errors
    /// [`ProgramError::Code`] where the code does not fit this engine: then compile the module.
    pub fn load(&self, name: &str, code: &perigee_cache::Entry) -> Result<Program, ProgramError> {
        Program::load(&self.wasmtime, &self.linker, name, code)
    }

    /// What compiled code depends on besides its module: versions, configuration, processor.
    #[must_use]
    pub fn fingerprint(&self) -> perigee_cache::Digest {
        precompiled::fingerprint(&self.wasmtime)
    }

    /// Wraps the future of a guest so that it is preempted.
    pub(crate) fn preempt<F>(self: &Arc<Self>, body: F) -> Preempted<F> {
        Preempted::new(Arc::clone(self), body)
    }

    pub(crate) fn store(&self, guest: Guest) -> wasmtime::Store<Guest> {
        let mut store = wasmtime::Store::new(&self.wasmtime, guest);
        store.limiter(|guest| &mut guest.memory_account);
        preempt::arm(&mut store);
        store
    }
}

#[cfg(test)]
mod tests;
