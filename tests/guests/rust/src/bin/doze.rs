//! `doze [N]`: N actors change some of their data, then wait for a message. Prints `alive N` before that, and `rests` when they
//! may; each time it goes on when an actor is killed, `until ID is killed`. Then it kills a quarter of them and has the others
//! prove that all of their data is as they left it: `round 1: A answered, K killed`. A third of those waits in vain then, until a
//! deadline, and checks its data; after that the others do once more: `round 2: T timed out, A answered`.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lunatic::host::api::{process, registry};
use lunatic::{Mailbox, MessageSignal, Process};

/// Four pages that nobody changes.
static TABLE: [u64; 2_048] = numbers(0x9e37_79b9_7f4a_7c15);
/// Two pages, of which each actor changes one number.
static CHANGED: [AtomicU64; 1_024] = {
    let numbers = numbers::<1_024>(0xbf58_476d_1ce4_e5b9);
    let mut changed = [const { AtomicU64::new(0) }; 1_024];
    let mut index = 0;
    while index < changed.len() {
        changed[index] = AtomicU64::new(numbers[index]);
        index += 1;
    }
    changed
};

const fn numbers<const N: usize>(seed: u64) -> [u64; N] {
    let mut numbers = [0; N];
    let mut index = 0;
    while index < N {
        numbers[index] = number(seed, index as u64);
        index += 1;
    }
    numbers
}

const fn number(seed: u64, index: u64) -> u64 {
    (index + 1).wrapping_mul(seed).rotate_left(23)
}

/// What an actor says of itself.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum News {
    Answers,
    TimedOut,
    HasOtherData,
}

/// Far longer than until an idle actor gives back memory, also for the second time.
const DEADLINE: Duration = Duration::from_secs(6);

/// A name that is there when they may rest.
const REST: &str = "rest";

fn may_rest() -> bool {
    let (mut node, mut id) = (0, 0);
    unsafe { registry::get(REST.as_ptr(), REST.len(), &mut node, &mut id) == 0 }
}

/// What is to become of one.
fn is_to_be_killed(index: u64) -> bool {
    index % 4 == 3
}

fn waits_in_vain(index: u64) -> bool {
    index % 4 == 2
}

#[lunatic::main]
fn main(mailbox: Mailbox<News>) {
    let count: u64 = guests::arg(0, 100);
    let actors: Vec<_> = (0..count).map(|index| (index, Process::spawn((mailbox.this(), index), doze))).collect();
    let alive = |actors: &[(u64, Process<u64>)]| actors.iter().filter(|(_, actor)| actor.is_alive()).count();
    let mailbox = mailbox.catch_link_failure();
    let gate = |what: &str| {
        let gate = Process::spawn_link((), |(), mailbox: Mailbox<()>| mailbox.receive());
        println!("{what} until {} is killed", gate.id());
        assert!(matches!(mailbox.receive(), MessageSignal::Signal(_)), "nobody has anything to say yet");
    };
    gate(&format!("alive {}", alive(&actors)));
    unsafe { registry::put(REST.as_ptr(), REST.len(), 0, process::process_id()) };
    gate("rests");

    let (killed, left): (Vec<_>, Vec<_>) = actors.into_iter().partition(|(index, _)| is_to_be_killed(*index));
    killed.iter().for_each(|(_, actor)| unsafe { process::kill(actor.id()) });
    let hear = |from: usize, news: News| {
        let heard = (0..from).map(|_| mailbox.receive());
        heard.filter(|heard| matches!(heard, MessageSignal::Message(heard) if *heard == news)).count()
    };
    left.iter().for_each(|(_, actor)| actor.send(1));
    let answered = hear(left.len(), News::Answers);
    while alive(&killed) > 0 {
        lunatic::sleep(Duration::from_millis(1));
    }
    println!("round 1: {answered} answered, {} killed", killed.len());

    let (in_vain, left): (Vec<_>, Vec<_>) = left.into_iter().partition(|(index, _)| waits_in_vain(*index));
    let timed_out = hear(in_vain.len(), News::TimedOut);
    left.iter().for_each(|(_, actor)| actor.send(2));
    println!("round 2: {timed_out} timed out, {} answered", hear(left.len(), News::Answers));
}

fn doze((main, index): (Process<News>, u64), mailbox: Mailbox<u64>) {
    let heap: Vec<u64> = (0..300).map(|number| number * index).collect();
    let own = index as usize % CHANGED.len();
    CHANGED[own].store(index, Ordering::Relaxed);
    let is_intact = || {
        // Else the compiler would know what is in it.
        *black_box(&TABLE) == numbers(0x9e37_79b9_7f4a_7c15)
            && (0..).zip(&CHANGED).all(|(at, changed)| {
                let expected = if at == own as u64 { index } else { number(0xbf58_476d_1ce4_e5b9, at) };
                changed.load(Ordering::Relaxed) == expected
            })
            && (0..).zip(&heap).all(|(number, held)| *held == number * index)
    };
    let say = |news| main.send(if is_intact() { news } else { News::HasOtherData });
    // To sleep is not to wait for a message: so long it gives nothing back.
    while !may_rest() {
        lunatic::sleep(Duration::from_millis(300));
    }
    assert_eq!(mailbox.receive(), 1);
    say(News::Answers);
    if waits_in_vain(index) {
        let began = Instant::now();
        assert!(mailbox.receive_timeout(DEADLINE).is_err() && began.elapsed() >= DEADLINE, "nobody sends to this one");
        return say(News::TimedOut);
    }
    assert_eq!(mailbox.receive(), 2);
    say(News::Answers);
}
