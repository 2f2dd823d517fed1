//! The actor core with bodies in Rust: what takes turns so fast that rare meetings of threads come about.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use perigee_runtime::actor::{Actor, ActorLimits, Ended, ExitReason, Filter, Message, Prepare, Quota, System};

use crate::ROUND;

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
        let prepare =
            Prepare { class: "soak".into(), limits: LIMITS, quota: Arc::clone(&self.quota), counts_in: Some(&self.quota) };
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
                    let message = Message { tag: 1, data: vec![0; 100].into(), ..Message::default() };
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
                    let sent = other.send(Message { tag, data: vec![0; bytes].into(), ..Message::default() }, Some(&own));
                    drop(tokio::time::timeout(Duration::from_millis(20), sent).await);
                }
            }
        }
        ExitReason::Normal.into()
    })
}

/// Returns how many actors there were.
pub(crate) async fn round(seed: u64) -> usize {
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
