//! `many_actors [N] [HOLD_MS]`: N actors alive at once. Prints the rate of spawning, then `alive N`, waits HOLD_MS, prints
//! `rested HOLD_MS` (for somebody to look at memory), lets each answer once, and ends.

use std::time::{Duration, Instant};

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let count: u64 = guests::arg(0, 1_000);
    let hold = Duration::from_millis(guests::arg(1, 0));
    let started = Instant::now();
    let actors: Vec<_> = (0..count).map(|index| Process::spawn((mailbox.this(), index), wait)).collect();
    guests::print_rate("many_actors", count, started);
    println!("alive {}", actors.iter().filter(|actor| actor.is_alive()).count());
    lunatic::sleep(hold);
    println!("rested {}", hold.as_millis());
    for actor in &actors {
        actor.send(());
    }
    let sum: u64 = actors.iter().map(|_| mailbox.receive()).sum();
    assert_eq!(sum, count * count.saturating_sub(1) / 2, "each answers once");
    println!("answered {count}");
}

fn wait((parent, index): (Process<u64>, u64), mailbox: Mailbox<()>) {
    mailbox.receive();
    parent.send(index);
}
