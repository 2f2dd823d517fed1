//! Spawns one function of its own module and prints its answer. Without the permission to spawn its own class, the spawn
//! ends this actor: it prints `spawning`, and no answer.

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    println!("spawning");
    Process::spawn(mailbox.this(), answer);
    println!("ok: {}", mailbox.receive());
}

fn answer(parent: Process<u64>, _: Mailbox<()>) {
    parent.send(42);
}
