//! Prints `ready` and waits; any message (the app's `shutdown`, above all) makes it print `stopping` and end normally.

use lunatic::Mailbox;

#[lunatic::main]
fn main(mailbox: Mailbox<()>) {
    println!("ready");
    mailbox.receive();
    println!("stopping");
}
