//! A soak of the actor core: rounds of actors that spawn, link, watch, name, flood, set timers, trap and are killed at random.
//! After each, nothing may be left: no actor, name or timer, no handle, and no memory beyond that of the first rounds.
//!
//! `cargo xtask soak --minutes N` runs it for longer than the 20 seconds of `cargo test`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that fails loudly and prints its figures")]

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use perigee_runtime::actor::{Actor, ActorLimits, Ended, ExitReason, Filter, Message, Prepare, Quota, System};

/// Seconds to run, from the environment.
const SECONDS_VARIABLE: &str = "PERIGEE_SOAK_SECONDS";
const DEFAULT_SECONDS: u64 = 20;
const ROUND: Duration = Duration::from_secs(1);
/// Rounds after which every pool of the allocator and of Tokio has been used.
const WARM_UP: usize = 4;
/// What a later round may have more than the warm ones: maps of Tokio that grow with the highest load so far.
const TOLERANCE_BYTES: usize = 1 << 20;
const LIMITS: ActorLimits = ActorLimits { memory: 1 << 20, mailbox: 16 << 10 };
const ACTORS: u32 = 500;

/// A generator of numbers that needs no state elsewhere (xorshift64*, <https://en.wikipedia.org/wiki/Xorshift>).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }
}

struct World {
    system: Arc<System>,
    quota: Arc<Quota>,
    /// Everybody who was ever there in this round.
    all: Mutex<Vec<Weak<Actor>>>,
    stop: Instant,
}

impl World {
    fn spawn(self: &Arc<Self>, spawner: Option<&Arc<Actor>>, link: Option<i64>, seed: u64) -> Option<Arc<Actor>> {
        let prepare = Prepare {
            class: "soak".into(),
            limits: LIMITS,
            quota: Arc::clone(&self.quota),
            counts_in: Some(Arc::clone(&self.quota)),
        };
        let actor = self.system.prepare(prepare).ok()?;
        self.all.lock().unwrap().push(Arc::downgrade(&actor));
        let body = live(Arc::clone(self), Arc::clone(&actor), Dice(seed | 1));
        self.system.launch(&actor, spawner, link, body).ok()?;
        Some(actor)
    }

    fn anybody(&self, dice: &mut Dice) -> Option<Arc<Actor>> {
        let all = self.all.lock().unwrap();
        let index = usize::try_from(dice.roll(all.len().max(1) as u64)).unwrap();
        all.get(index).and_then(Weak::upgrade)
    }
}

/// Does things at random until something ends it.
fn live(world: Arc<World>, own: Arc<Actor>, mut dice: Dice) -> std::pin::Pin<Box<dyn Future<Output = Ended> + Send>> {
    Box::pin(async move {
        own.set_dies_with_links(dice.roll(3) == 0);
        while Instant::now() < world.stop {
            let Some(other) = world.anybody(&mut dice) else { return ExitReason::Normal.into() };
            match dice.roll(16) {
                0 => drop(world.spawn(Some(&own), (dice.roll(2) == 0).then_some(7), dice.0)),
                1 => drop(own.link(&other, 3)),
                2 => own.unlink(other.id()),
                3 => drop(own.monitor(&other)),
                4 => own.stop_monitoring(other.id()),
                5 => drop(world.system.register(&format!("name {}", dice.roll(50)), other.id())),
                6 => world.system.unregister(&format!("name {}", dice.roll(50))),
                7 => {
                    let message = Message { tag: 1, data: vec![0; 100], ..Message::default() };
                    let delay = Duration::from_millis(dice.roll(5_000));
                    if let Ok(timer) = world.system.send_after(&own, other.id(), message, delay)
                        && dice.roll(2) == 0
                    {
                        world.system.cancel_timer(timer);
                    }
                }
                8 if dice.roll(20) == 0 => other.kill(),
                9 if dice.roll(40) == 0 => return ExitReason::Trap("as the dice fell".into()).into(),
                10 if dice.roll(200) == 0 => panic!("a defect of the host, as the dice fell"),
                11 => {
                    let received = own.receive(Filter::Tags(vec![1, 3]), Some(Duration::from_millis(dice.roll(3)))).await;
                    received.into_iter().for_each(|envelope| own.release_memory(envelope.cost()));
                }
                12 => {
                    while let Some(envelope) = own.take(&Filter::Any) {
                        own.release_memory(envelope.cost());
                    }
                }
                13 => tokio::task::yield_now().await,
                _ => {
                    let bytes = usize::try_from(dice.roll(4_000)).unwrap();
                    let tag = i64::try_from(dice.roll(4)).unwrap();
                    let sent = other.send(Message { tag, data: vec![0; bytes], ..Message::default() }, Some(&own));
                    drop(tokio::time::timeout(Duration::from_millis(20), sent).await);
                }
            }
        }
        ExitReason::Normal.into()
    })
}

async fn round(seed: u64) -> usize {
    let world = Arc::new(World {
        system: Arc::default(),
        quota: Quota::new(ACTORS, None),
        all: Mutex::default(),
        stop: Instant::now() + ROUND,
    });
    let mut dice = Dice(seed | 1);
    while Instant::now() < world.stop {
        world.spawn(None, None, dice.roll(u64::MAX));
        if dice.roll(20) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    world.system.kill_all().await;
    // Timers of receivers that ended are aborted; their tasks go at the next look of a thread.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if world.all.lock().unwrap().iter().all(|actor| actor.strong_count() == 0) {
            break;
        }
    }
    assert!(world.system.is_empty(), "actors, names or timers are left");
    assert_eq!(world.quota.live(), 0);
    let all = std::mem::take(&mut *world.all.lock().unwrap());
    let held = all.iter().filter(|actor| actor.strong_count() > 0).count();
    assert_eq!(held, 0, "of {} actors that ended, so many are still held", all.len());
    all.len()
}

/// Bytes that the allocator has given out: fragmentation does not count, a leak does.
#[expect(unsafe_code, reason = "neither std nor nix asks the allocator")]
fn allocated() -> usize {
    // SAFETY: both only look at, or tidy, the allocator's own lists.
    unsafe {
        libc::malloc_trim(0);
        let info = libc::mallinfo2();
        info.uordblks + info.hblkhd
    }
}

fn main() {
    let seconds = std::env::var(SECONDS_VARIABLE).map_or(DEFAULT_SECONDS, |text| text.parse().unwrap());
    // Panics of the host are part of it, and thousands of their reports are not.
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("as the dice fell") {
            println!("{info}");
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut actors, mut rounds, mut warm) = (0, 0, 0);
    while Instant::now() < end || rounds <= WARM_UP {
        let seed = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(rounds as u64 + 1);
        actors += runtime.block_on(async { tokio::spawn(round(seed)).await }).expect("a round that holds");
        rounds += 1;
        let now = allocated();
        if rounds <= WARM_UP {
            warm = warm.max(now);
        } else {
            assert!(now <= warm + TOLERANCE_BYTES, "{now} bytes are allocated after round {rounds}, {warm} were at first");
        }
    }
    println!("soak: {rounds} rounds, {actors} actors, {warm} bytes allocated when warm, {} at the end", allocated());
}
