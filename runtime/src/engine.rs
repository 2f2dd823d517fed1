//! Everything about Wasmtime that is not a host function: one configuration, compiling, pooling, preemption.

mod clock;
mod config;
mod dense;
mod fuel;
mod guest_modules;
mod imports;
mod limiter;
mod pool;
mod precompiled;
mod preempt;
mod program;
mod stack;
mod trap;

pub(crate) use clock::{Clock, Sleep};
pub(crate) use dense::GivenBack;
pub(crate) use fuel::Fuel;
use guest_modules::GuestModules;
pub(crate) use limiter::MemoryAccount;
pub use pool::Capacity;
pub use precompiled::Compiler;
use preempt::{Preempted, Turns};
pub use program::{Program, ProgramError};
pub(crate) use stack::Tidied;
pub(crate) use trap::trap_text;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use wasmtime::{Func, PoolConcurrencyLimitError, Store};

use self::dense::Dense;
use crate::guest::Guest;
use crate::host::charge::Charge;

/// What is in use of what a process has room for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Instances of the pool.
    pub instances: u64,
    /// Linear memories of the pool and of arenas.
    pub memories: usize,
    /// Tables of the pool.
    pub tables: usize,
    /// Stacks of the pool and of arenas.
    pub stacks: usize,
    /// Modules that guests compiled.
    pub modules: usize,
    /// Connections.
    pub connections: usize,
}

/// Compiles modules and holds what all instances share.
pub struct Engine {
    /// With a pool, for short-lived actors.
    wasmtime: wasmtime::Engine,
    /// For those that the pool has no place for, in an app that can have so many.
    dense: Option<Dense>,
    clock: Arc<Clock>,
    turns: Turns,
    linker: wasmtime::Linker<Guest>,
    guest_modules: GuestModules,
}

impl Engine {
    /// An engine with room for so many actors. Its clock for preemption runs as long as it exists.
    ///
    /// # Errors
    /// The host lacks what Wasmtime needs, such as address space.
    pub fn new(capacity: Capacity) -> wasmtime::Result<Self> {
        Self::with(capacity, capacity.in_pool(), config::Reset::detect())
    }

    fn with(capacity: Capacity, in_pool: u32, reset: config::Reset) -> wasmtime::Result<Self> {
        let wasmtime = pool::engine(in_pool, reset)?;
        let dense = pool::dense(capacity.actors - in_pool);
        let clock = Clock::start(std::iter::once(&wasmtime).chain(dense.as_ref().map(|dense| &dense.engine)))?;
        let linker = crate::host::linker(&wasmtime)?;
        let guest_modules = GuestModules::new()?;
        Ok(Self { wasmtime, dense, clock, turns: Turns::default(), linker, guest_modules })
    }

    /// Compiles a module and links its imports. Takes milliseconds to seconds of CPU: call it where blocking is allowed.
    ///
    /// # Errors
    /// What is wrong with the module, named by `name`.
    pub fn compile(&self, name: &str, bytes: &[u8]) -> Result<Program, ProgramError> {
        let program = Program::compile(&self.wasmtime, &self.linker, name, bytes, None)?;
        Ok(if self.dense.is_some() { program.keep_module(bytes.to_vec()) } else { program })
    }

    /// Compiles a module of a guest, in the background. Should the guest be killed, the work is finished once it has begun:
    /// until then `place` stays charged.
    pub(crate) async fn compile_of_guest(
        self: &Arc<Self>,
        name: String,
        bytes: Vec<u8>,
        place: Charge,
    ) -> wasmtime::Result<Program> {
        let kept = self.guest_modules.place()?;
        let engine = Arc::clone(self);
        let work = move || {
            let _place = place;
            Program::compile(&engine.wasmtime, &engine.linker, &name, &bytes, Some(kept))
        };
        Ok(self.guest_modules.background.run(work).await??)
    }

    /// Maps a module that was compiled before, and links its imports. The `module` itself is read only where it may have to be
    /// compiled once more, for places beside those of the pool.
    ///
    /// # Errors
    /// [`ProgramError::Code`] where the code does not fit this engine: then compile the module.
    pub fn load(
        &self,
        name: &str,
        code: &perigee_cache::Entry,
        module: impl FnOnce() -> std::io::Result<Vec<u8>>,
    ) -> Result<Program, ProgramError> {
        let program = Program::load(&self.wasmtime, &self.linker, name, code)?;
        if self.dense.is_none() {
            return Ok(program);
        }
        let unreadable = |reason| ProgramError::Unreadable { name: name.to_owned(), reason };
        Ok(program.keep_module(module().map_err(unreadable)?))
    }

    /// Ends that much later, also beside guests that spin.
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(Arc::clone(&self.clock), duration)
    }

    /// What compiled code depends on besides its module: versions, configuration, processor.
    #[must_use]
    pub fn fingerprint(&self) -> perigee_cache::Digest {
        precompiled::fingerprint(&self.wasmtime)
    }

    /// What is in use here.
    pub(crate) fn in_use(&self) -> InUse {
        let (memories, stacks) = self.dense.as_ref().map_or((0, 0), Dense::used);
        let modules = self.guest_modules.in_use();
        let Some(pool) = self.wasmtime.pooling_allocator_metrics() else {
            return InUse { memories, stacks, modules, ..InUse::default() };
        };
        InUse {
            instances: pool.core_instances(),
            memories: pool.memories() + memories,
            tables: pool.tables(),
            stacks: pool.stacks() + stacks,
            modules,
            connections: 0,
        }
    }

    /// Wraps the future of a guest so that it is preempted.
    pub(crate) fn preempt<F>(self: &Arc<Self>, body: F) -> Preempted<F> {
        Preempted::new(Arc::clone(self), body)
    }

    /// A store for a guest in the pool.
    pub(crate) fn store(&self, guest: Guest) -> Store<Guest> {
        new_store(&self.wasmtime, guest)
    }

    /// Whether what runs in a store of that engine has its place in the pool, else in an arena.
    pub(crate) fn is_in_pool(&self, engine: &wasmtime::Engine) -> bool {
        wasmtime::Engine::same(engine, &self.wasmtime)
    }

    /// Makes an instance of `program` in `store`, which is one for the pool. The guest may get a store for another place. With
    /// it comes the function of that name, if there is one.
    ///
    /// # Errors
    /// There is no place or memory for it, or its start function failed: that, and the store.
    pub(crate) async fn instantiate(
        &self,
        mut store: Store<Guest>,
        program: &Program,
        function: &str,
    ) -> Result<(Store<Guest>, Option<Func>), (Store<Guest>, wasmtime::Error)> {
        let full = match program.linked().instantiate(&mut store, function).await {
            Ok(function) => return Ok((store, function)),
            Err(error) => error,
        };
        let Some(dense) = self.dense.as_ref().filter(|_| full.is::<PoolConcurrencyLimitError>()) else {
            return Err((store, full));
        };
        let linked = match program.dense(dense).await {
            Ok(Some(linked)) => linked,
            Ok(None) => return Err((store, full)),
            Err(error) => return Err((store, error)),
        };
        let mut store = new_store(&dense.engine, store.into_data());
        match linked.instantiate(&mut store, function).await {
            Ok(function) => {
                program.keep_image(&store);
                dense.is_used();
                Ok((store, function))
            }
            Err(error) => Err((store, error)),
        }
    }

    /// Waits for the first actor with a place in an arena: for ever, where there are none.
    pub(crate) async fn first_in_arena(&self) {
        match &self.dense {
            Some(dense) => dense.first_use().await,
            None => std::future::pending().await,
        }
    }

    /// Gives back the memory of actors in arenas that have ended, so much later: again and again, for as long as it is polled.
    pub(crate) async fn clean_arenas(&self, later: Duration) {
        let Some(dense) = &self.dense else { return };
        loop {
            dense.unclean().await;
            tokio::time::sleep(later).await;
            dense.clean();
        }
    }

    /// Whether guests run, as the clock knows it: when it goes on, when it stops.
    pub(crate) fn activity(&self) -> watch::Receiver<bool> {
        self.clock.activity()
    }
}

fn new_store(engine: &wasmtime::Engine, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.memory_account);
    preempt::arm(&mut store);
    store
}

#[cfg(test)]
mod tests;
