//! A soak: rounds of actors that spawn, link, watch, name, flood, set timers, open files, sockets and databases, compile, trap
//! and are killed at random, in turns with bodies in Rust and as guests in WebAssembly. After each round nothing may be left: no
//! actor, name or timer, no handle, slot, file or socket, and no memory beyond that of the first rounds.
//!
//! `cargo xtask soak --minutes N` runs it for longer than the 20 seconds of `cargo test`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that fails loudly and prints its figures")]

mod bodies;
mod guests;
mod memory;

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memory::{Allocated, resident};
use perigee_runtime::Allocator;

/// Seconds to run, from the environment.
const SECONDS_VARIABLE: &str = "PERIGEE_SOAK_SECONDS";
const DEFAULT_SECONDS: u64 = 20;
const ROUND: Duration = Duration::from_secs(1);
/// Rounds of either kind after which every pool of the allocator and of Tokio has been used.
const WARM_UP: u64 = 4;
/// What a later round may have more than the warm ones: maps that grow with the highest load so far.
const TOLERANCE_BYTES: usize = 512 << 10;
/// The same for what is in memory. Each place of the pool keeps up to 64 KiB of a memory, of a table and of a stack for its next
/// actor (`KEPT_BYTES` of `engine/config.rs` and of `engine/stack.rs`), and the first rounds use only some of the places. What
/// threads own of the allocator's pages, some 20 MB of all 80, is within it: few places come to have all three.
const RESIDENT_TOLERANCE_BYTES: usize = guests::ACTORS * 3 * (64 << 10);
/// What each thread keeps for itself of glibc's blocks that it freed counts as allocated, and grows until each of 80 threads has
/// had its fill: megabytes that hide a leak. So glibc keeps nothing of the kind here; it is told so at its start.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

fn main() {
    if std::env::var(TUNABLES.0).as_deref() != Ok(TUNABLES.1) {
        let error = Command::new(std::env::current_exe().unwrap()).env(TUNABLES.0, TUNABLES.1).exec();
        panic!("it does not start anew: {error}");
    }
    Allocator::serve_many_actors();
    let seconds = std::env::var(SECONDS_VARIABLE).map_or(DEFAULT_SECONDS, |text| text.parse().unwrap());
    // Panics of the host are part of it, and thousands of their reports are not.
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("as the dice fell") {
            println!("{info}");
        }
    }));
    let runtime = perigee_runtime::threads().worker_threads(2).build().unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let guests = Arc::new(guests::Guests::prepare());
    let (mut bodies, mut rounds, mut warm) = (0, 0, (Allocated::default(), 0));
    while Instant::now() < end || rounds <= WARM_UP {
        rounds += 1;
        let seed = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(rounds);
        let guests = Arc::clone(&guests);
        let last = runtime.block_on(async {
            bodies += tokio::spawn(bodies::round(seed)).await.expect("a round that holds");
            tokio::spawn(async move { guests.round().await }).await.expect("a round that holds")
        });
        let (held, resident) = (Allocated::now(), resident());
        println!("soak: round {rounds}: {bodies} bodies, {last} guests, {held} allocated, {resident} resident");
        if rounds <= WARM_UP {
            warm.1 = warm.1.max(resident);
            if held.bytes() > warm.0.bytes() {
                warm.0 = held;
            }
            continue;
        }
        let most = warm.0.bytes() + TOLERANCE_BYTES;
        assert!(held.bytes() <= most, "{held} are allocated, {} were at first:{}", warm.0, held.more_than(&warm.0));
        assert!(resident <= warm.1 + RESIDENT_TOLERANCE_BYTES, "{resident} bytes are in memory, {} were at first", warm.1);
    }
    println!("soak: {} and {} bytes resident when it was warm", warm.0, warm.1);
}
