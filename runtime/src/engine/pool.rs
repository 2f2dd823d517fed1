//! How many actors an engine makes room for, and what happens when the host has no room for that many.

use perigee_spec::AppSpec;

use super::config::{self, Allocation, Reset};
use super::dense::Dense;

/// Actors of a pool. Each stack of it takes a system call and two memory mappings when the process starts, and a live actor
/// four more, of which Linux gives a process 65,530 (`vm.max_map_count`); each slot takes 4 GiB of address space.
const MAX_IN_POOL: u32 = 1_000;
/// Actors of an engine. Address space would do for more, but nobody has tried.
const MAX_ACTORS: u32 = 1_050_000;
/// Apps that spawn nothing still get some: restarts overlap for a moment.
const MIN_ACTORS: u32 = 16;

/// What an engine has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Actors that can be alive at once.
    pub actors: u32,
}

impl Capacity {
    /// What an app can make use of.
    #[must_use]
    pub fn for_app(app: &AppSpec) -> Self {
        let mut actors = 0u32;
        for class in app.actors() {
            let spawned = if class.permissions.spawn.is_empty() { 0 } else { class.limits.actors };
            actors = actors.saturating_add(class.instances.saturating_mul(spawned.saturating_add(1)));
        }
        Self { actors: actors.clamp(MIN_ACTORS, MAX_ACTORS) }
    }

    /// How many of them have a place in the pool. For the others there is a second, dense engine.
    pub(super) fn in_pool(self) -> u32 {
        self.actors.min(MAX_IN_POOL)
    }
}

/// An engine with a pool; where the host refuses the address space, one without.
pub(super) fn engine(actors: u32, reset: Reset) -> wasmtime::Result<wasmtime::Engine> {
    match wasmtime::Engine::new(&config::config(Allocation::Pool(actors, reset))) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            tracing::warn!("no room for a pool of {actors} actors, spawning will be slower: {error:#}");
            wasmtime::Engine::new(&config::config(Allocation::OnDemand))
        }
    }
}

/// An engine for so many that the pool has no place for, if there can be any.
pub(super) fn dense(actors: u32) -> Option<Dense> {
    if actors == 0 {
        return None;
    }
    match Dense::new(actors) {
        Ok(dense) => Some(dense),
        Err(error) => {
            tracing::warn!("no room for {actors} actors more than the pool has: {error:#}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perigee_spec::ActorClass;

    #[test]
    fn a_pool_has_room_for_all_that_an_app_may_spawn_within_bounds() {
        let mut root = ActorClass::new("web".parse().unwrap());
        root.limits.actors = 500;
        root.instances = 2;
        let size = |class: &ActorClass| Capacity::for_app(&AppSpec::new("x", vec![class.clone()], "").unwrap()).actors;
        assert_eq!(size(&root), MIN_ACTORS, "without the right to spawn, `actors` counts for nothing");
        root.permissions.spawn = vec!["web".parse().unwrap()];
        assert_eq!(size(&root), 1_002);
        root.limits.actors = 1_000_000;
        root.instances = 1;
        assert_eq!(size(&root), 1_000_001);
        root.instances = 2;
        assert_eq!(size(&root), MAX_ACTORS);
        assert_eq!(Capacity { actors: MAX_ACTORS }.in_pool(), MAX_IN_POOL);
    }
}
