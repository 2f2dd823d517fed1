//! A runtime that maps the memory and the stack of each process by itself held 10,112 of them, and no more: each took mappings,
//! of which Linux gives 65,530 (`vm.max_map_count`).

use crate::harness::run_app;

/// 1,000 of them have places in the pool, and the others in arenas.
#[test]
fn w02_ceiling_is_not_that_of_memory_mappings() {
    run_app(
        "{name: many, module: many_actors.wasm, args: ['11000'], restart: {policy: Temporary}, limits: {memory: 4Mi, actors: 11000}, permissions: {spawn: [many]}}",
    )
    .code(0)
    .prints("alive 11000")
    .prints("answered 11000");
}
