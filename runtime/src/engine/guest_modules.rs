//! What the modules that guests compile may take of the process: processors, and memory mappings.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::background::Background;

/// Modules of guests that are in memory at once: a small one takes two memory mappings, of which a process has 65,530
/// (`vm.max_map_count`) and a full pool of actors takes some thousand.
const MAX_MODULES: usize = 4_000;
/// Of so many cores, one compiles: where the processors of a pod are limited by time, what compiles has a share of it whatever
/// its priority.
const CORES: usize = 2;
/// What the nice value of its thread is higher by: few threads leave enough to actors.
const NICE: i32 = 5;

/// Modules of guests.
pub(super) struct GuestModules {
    pub(super) background: Background,
    places: Arc<Semaphore>,
}

impl GuestModules {
    pub(super) fn new() -> wasmtime::Result<Self> {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        let background = Background::start("perigee-compile", (cores / CORES).max(1), NICE)?;
        Ok(Self { background, places: Arc::new(Semaphore::new(MAX_MODULES)) })
    }

    pub(super) fn in_use(&self) -> usize {
        MAX_MODULES - self.places.available_permits()
    }

    /// A place for one more. It goes with the module, whoever holds that.
    pub(super) fn place(&self) -> wasmtime::Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| wasmtime::format_err!("this process has {MAX_MODULES} modules of its actors in memory already"))
    }
}
