//! How many actors an engine makes room for, and what happens when the host has no room for that many.

use std::path::PathBuf;

use perigee_spec::AppSpec;

use super::config::{self, Allocation, Reset};
use super::dense::Dense;
use super::imports;

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
    /// What an app can make use of, whatever its modules are.
    #[must_use]
    pub fn for_app(app: &AppSpec) -> Self {
        Self::of(app, |_| true)
    }

    /// What it can make use of with these modules, one of each class. A class that may spawn, as that of every plain pod, but
    /// whose module does not know how to, needs no room for others: making it would take longer than all else of a start.
    #[must_use]
    pub fn for_modules(app: &AppSpec, modules: &[PathBuf]) -> Self {
        Self::of(app, |class| modules.get(class).is_none_or(|module| imports::can_spawn(module)))
    }

    fn of(app: &AppSpec, can_spawn: impl Fn(usize) -> bool) -> Self {
        let mut actors = 0u32;
        for (index, class) in app.actors().iter().enumerate() {
            let spawns = class.instances > 0 && !class.permissions.spawn.is_empty() && can_spawn(index);
            let spawned = if spawns { class.limits.actors } else { 0 };
            actors = actors.saturating_add(class.instances.saturating_mul(spawned.saturating_add(1)));
        }
        Self { actors: actors.clamp(MIN_ACTORS, MAX_ACTORS) }
    }

    /// Whether they are more than those of a pod of one actor: then spawning is what the process does.
    #[must_use]
    pub fn is_for_many(self) -> bool {
        self.actors > MIN_ACTORS
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
    fn a_module_that_cannot_spawn_gets_no_room_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let module = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
            path
        };
        let wasi = module("wasi", r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))"#);
        let lunatic = module("lunatic", r#"(module (import "lunatic::process" "spawn" (func)))"#);
        let mut class = ActorClass::new("web".parse().unwrap());
        class.limits.actors = 500;
        class.permissions.spawn = vec!["web".parse().unwrap()];
        let app = AppSpec::new("x", vec![class], "").unwrap();
        let room = |module: &PathBuf| Capacity::for_modules(&app, std::slice::from_ref(module)).actors;
        assert_eq!((room(&wasi), room(&lunatic)), (MIN_ACTORS, 501));
        assert_eq!(room(&folder.path().join("missing")), 501);
        assert_eq!(Capacity::for_modules(&app, &[]), Capacity::for_app(&app));
    }

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
