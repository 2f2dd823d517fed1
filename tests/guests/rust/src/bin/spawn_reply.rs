//! `spawn_reply [N]`: N times, spawns an actor and waits for its message. Prints the rate, and how long one took.

use std::time::Instant;

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let count = guests::arg(0, 1_000);
    let mut took = Vec::new();
    let started = Instant::now();
    for index in 0..count {
        let spawned = Instant::now();
        Process::spawn((mailbox.this(), index), |(parent, index), _: Mailbox<()>| parent.send(index));
        assert_eq!(mailbox.receive(), index, "the reply of another actor");
        took.push(spawned.elapsed());
    }
    guests::print_rate("spawn_reply", count, started);
    guests::print_percentiles("spawn_reply", took);
}
