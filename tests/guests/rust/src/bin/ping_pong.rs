//! `ping_pong [N]`: a message goes to another actor and back, N times. Prints the rate of round trips.

use std::time::Instant;

use lunatic::{Mailbox, Process};
use perigee::ActorId;

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let count = guests::arg(0, 100_000);
    let echo = ActorId::new(Process::spawn(ActorId::this().get(), echo).id());
    let mut message = [0; 8];
    let mut answer = Vec::new();
    let started = Instant::now();
    for index in 0..count {
        guests::stamp(&mut message, index);
        perigee::send(echo, 0, &message);
        perigee::receive(&mut answer);
        assert_eq!(guests::stamped(&answer), index, "out of order");
    }
    guests::print_rate("ping_pong", count, started);
}

fn echo(parent: u64, _: Mailbox<()>) {
    let mut message = Vec::new();
    loop {
        perigee::receive(&mut message);
        perigee::send(ActorId::new(parent), 0, &message);
    }
}
