//! `one_way [N]`: one actor sends N messages to another, which checks their order. Prints the rate; far more messages
//! than a mailbox holds, so it shows what a full mailbox does to its sender, too.

use std::time::Instant;

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let count = guests::arg(0, 1_000_000);
    let sink = Process::spawn((mailbox.this(), count), |(parent, count): (Process<u64>, u64), mailbox: Mailbox<u64>| {
        for index in 0..count {
            assert_eq!(mailbox.receive(), index, "out of order");
        }
        parent.send(count);
    });
    let started = Instant::now();
    for index in 0..count {
        sink.send(index);
    }
    assert_eq!(mailbox.receive(), count);
    guests::print_rate("one_way", count, started);
}
