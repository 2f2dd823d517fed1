//! Bounds that many draw on at once.

use shuttle::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Guards `Quota::charge` (a load, then an addition, is not enough), and that a refused charge and an end give all back.
#[test]
fn a_quota_is_never_exceeded_and_all_of_it_is_given_back() {
    const MAX: u32 = 2;
    explore(|| {
        let system = Arc::<System>::default();
        let top = Quota::new(MAX, None);
        let below = Quota::new(3, Some(Arc::clone(&top)));
        let alive = Arc::new(AtomicU64::new(0));
        let spawner = |counts_in: &Arc<Quota>| {
            let (system, counts_in, alive) = (Arc::clone(&system), Arc::clone(counts_in), Arc::clone(&alive));
            start(move || {
                for _ in 0..2 {
                    let quota = Quota::new(0, None);
                    let only = Prepare { class: "test".into(), limits: LIMITS, quota, counts_in: Some(&counts_in) };
                    let Ok(actor) = system.prepare(only) else { continue };
                    assert!(alive.fetch_add(1, Ordering::SeqCst) < u64::from(MAX), "one more than may be alive");
                    alive.fetch_sub(1, Ordering::SeqCst);
                    drop(actor);
                }
            })
        };
        for spawner in [spawner(&below), spawner(&below), spawner(&top)] {
            spawner.join().unwrap();
        }
        assert_eq!((top.live(), below.live()), (0, 0));
    });
}

/// Guards `Actor::finish`, which gives the place back before `System::bury` tells of the end.
#[test]
fn who_hears_of_an_end_finds_the_place_in_the_quota_free() {
    explore(|| {
        let system = Arc::<System>::default();
        let quota = Quota::new(1, None);
        for _ in 0..2 {
            let only = Prepare { class: "test".into(), limits: LIMITS, quota: Quota::new(0, None), counts_in: Some(&quota) };
            let actor = system.prepare(only).unwrap();
            let watcher = idle(&system);
            watcher.monitor(&actor).unwrap();
            let exit = system.launch(&actor, None, None, async { ExitReason::Normal }).unwrap();
            let (news, waits) = (Arc::clone(&watcher), Arc::clone(&quota));
            let by_news = start(move || {
                while news.take(&Filter::Any).is_none() {
                    thread::yield_now();
                }
                waits.live()
            });
            assert_eq!(by_news.join().unwrap(), 0);
            reason(exit);
        }
    });
}

/// Guards the single steps of `Account::charge` and `Account::release`.
#[test]
fn an_account_is_never_overdrawn() {
    const LIMIT: u64 = 10;
    /// Two have room, three have not: so two can be giving back at once.
    const PART: u64 = 4;
    explore(|| {
        let system = Arc::<System>::default();
        let actor = prepare(&system, ActorLimits { memory: LIMIT, ..LIMITS });
        let held = Arc::new(AtomicU64::new(0));
        let spender = || {
            let (actor, held) = (Arc::clone(&actor), Arc::clone(&held));
            start(move || {
                for _ in 0..2 {
                    if actor.charge_memory(PART).is_ok() {
                        assert!(held.fetch_add(PART, Ordering::SeqCst) + PART <= LIMIT);
                        held.fetch_sub(PART, Ordering::SeqCst);
                        actor.release_memory(PART);
                    }
                }
            })
        };
        for spender in [spender(), spender(), spender()] {
            spender.join().unwrap();
        }
        assert_eq!(actor.memory(), 0);
    });
}
