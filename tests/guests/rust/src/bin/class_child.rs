//! What `spawn_class` spawns by name: answers one message with its own arguments and environment, which are its class's,
//! not its parent's.

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<Process<String>>) {
    let asker = mailbox.receive();
    let args: Vec<_> = std::env::args().skip(1).collect();
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    asker.send(format!("child args={args:?} env={variables:?}"));
}
