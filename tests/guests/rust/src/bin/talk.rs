//! `talk [ACTORS] [LINES]`: that many actors print that many lines each, `NUMBER LINE`, all at once; then `done`.

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<()>) {
    let (actors, lines): (u64, u64) = (guests::arg(0, 10), guests::arg(1, 1_000));
    for actor in 0..actors {
        Process::spawn((mailbox.this(), actor, lines), talk);
    }
    for _ in 0..actors {
        mailbox.receive();
    }
    println!("done");
}

fn talk((parent, actor, lines): (Process<()>, u64, u64), _: Mailbox<()>) {
    for line in 0..lines {
        println!("{actor} {line}");
    }
    parent.send(());
}
