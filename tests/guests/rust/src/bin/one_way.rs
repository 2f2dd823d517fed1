//! `one_way [N] [BYTES]`: one actor sends N messages of that size to another, which checks their order. Prints the rate;
//! far more messages than a mailbox holds, so it shows what a full mailbox does to its sender, too.

use std::time::Instant;

use lunatic::{Mailbox, Process};
use perigee::ActorId;

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let count = guests::arg(0, 1_000_000);
    let bytes = guests::arg(1, 64);
    let sink = Process::spawn((mailbox.this(), count, bytes), sink);
    let mut message = vec![0; bytes];
    let receiver = ActorId::new(sink.id());
    let started = Instant::now();
    for index in 0..count {
        guests::stamp(&mut message, index);
        perigee::send(receiver, 0, &message);
    }
    assert_eq!(mailbox.receive(), count);
    guests::print_rate("one_way", count, started);
}

fn sink((parent, count, bytes): (Process<u64>, u64, usize), _: Mailbox<()>) {
    let mut message = Vec::new();
    for index in 0..count {
        perigee::receive(&mut message);
        assert_eq!(message.len(), bytes, "a message was cut");
        assert_eq!(guests::stamped(&message), index, "out of order");
    }
    parent.send(count);
}
