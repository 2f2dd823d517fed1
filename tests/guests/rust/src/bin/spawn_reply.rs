//! `spawn_reply [N]`: N times, spawns an actor and waits for its message. Prints the rate.

use std::time::Instant;

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let count = guests::arg(0, 1_000);
    let started = Instant::now();
    for index in 0..count {
        Process::spawn((mailbox.this(), index), |(parent, index), _: Mailbox<()>| parent.send(index));
        assert_eq!(mailbox.receive(), index, "the reply of another actor");
    }
    guests::print_rate("spawn_reply", count, started);
}
