//! `spawn_class CLASS`: spawns an actor of that class (whose module is `class_child`), sends it a question and prints the
//! answer as `ok: …`; a refused spawn is printed as `error: TEXT`.

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<String>) {
    match perigee::spawn(&guests::text_arg(0, "spawn_class CLASS")) {
        Err(error) => println!("error: {error}"),
        Ok(child) => {
            child.process::<Process<String>>().send(mailbox.this());
            println!("ok: {}", mailbox.receive());
        }
    }
}
