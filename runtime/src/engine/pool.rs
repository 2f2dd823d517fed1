//! How many actors an engine makes room for, and what happens when the host has no room for that many.

use perigee_spec::AppSpec;

use super::config::{self, Reset};

/// A live actor takes 6 memory mappings, of which Linux gives a process 65,530 (`vm.max_map_count`): beyond about 10,000
/// actors it refuses more. Each slot also takes 4 GiB of the 128 TiB of address space.
const MAX_ACTORS: u32 = 9_000;
/// Apps that spawn nothing still get some: restarts overlap for a moment.
const MIN_ACTORS: u32 = 16;

/// Size of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// Actors that can be alive at once.
    pub actors: u32,
}

impl PoolSize {
    /// The size that an app can make use of.
    #[must_use]
    pub fn for_app(app: &AppSpec) -> Self {
        let mut actors = 0u32;
        for class in app.actors() {
            let spawned = if class.permissions.spawn.is_empty() { 0 } else { class.limits.actors };
            actors = actors.saturating_add(class.instances.saturating_mul(spawned.saturating_add(1)));
        }
        Self { actors: actors.clamp(MIN_ACTORS, MAX_ACTORS) }
    }

    /// A guest that is called back by a host function that it called runs on a second stack.
    pub(super) fn stacks(self) -> u32 {
        self.actors.saturating_add(self.actors / 4).saturating_add(MIN_ACTORS)
    }
}

/// An engine with a pool; where the host refuses the address space, one without.
pub(super) fn engine(size: PoolSize, reset: Reset) -> wasmtime::Result<wasmtime::Engine> {
    match wasmtime::Engine::new(&config::config(Some((size, reset)))) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            tracing::warn!("no room for a pool of {} actors, spawning will be slower: {error:#}", size.actors);
            wasmtime::Engine::new(&config::config(None))
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
        let size = |class: &ActorClass| PoolSize::for_app(&AppSpec::new("x", vec![class.clone()], "").unwrap()).actors;
        assert_eq!(size(&root), MIN_ACTORS, "without the right to spawn, `actors` counts for nothing");
        root.permissions.spawn = vec!["web".parse().unwrap()];
        assert_eq!(size(&root), 1_002);
        root.limits.actors = 1_000_000;
        assert_eq!(size(&root), MAX_ACTORS);
    }
}
