//! `ping_pong [N]`: a message goes to another actor and back, N times. Prints the rate of round trips.

use std::time::Instant;

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let count = guests::arg(0, 100_000);
    let echo = Process::spawn(mailbox.this(), |parent: Process<u64>, mailbox: Mailbox<u64>| loop {
        parent.send(mailbox.receive());
    });
    let started = Instant::now();
    for index in 0..count {
        echo.send(index);
        assert_eq!(mailbox.receive(), index, "out of order");
    }
    guests::print_rate("ping_pong", count, started);
}
