//! One actor allocates until its memory limit kills it; its sibling ticks on. `grow MIB` stops after that much instead
//! (default 1024), and then ends normally. Prints `tick N`, `allocated N MiB`, `grower died` (or `grower finished`), and
//! at the end `sibling ticked on`.

use std::hint::black_box;
use std::time::Duration;

use lunatic::{Mailbox, MailboxError, MessageSignal, Process, Tag};

const TICK: Duration = Duration::from_millis(20);
const MIB: usize = 1 << 20;

/// Numbers of ticks, or [`GROWN`].
const GROWN: u64 = u64::MAX;

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let root = mailbox.this();
    let limit_mib: usize = guests::arg(0, 1024);
    let mailbox = mailbox.catch_link_failure();
    Process::spawn_link(root, tick);
    Process::spawn_link_tag((root, limit_mib), Tag::special(64).expect("64 is for users"), grow);
    let mut ticks_to_come = None;
    loop {
        match mailbox.try_receive() {
            Ok(MessageSignal::Message(GROWN)) => {
                println!("grower finished");
                ticks_to_come = Some(5);
            }
            Ok(MessageSignal::Message(number)) => println!("tick {number}"),
            Ok(MessageSignal::Signal(died)) => {
                assert_eq!(Some(died.0), Tag::special(64), "only the grower may die");
                println!("grower died");
                ticks_to_come = Some(5);
                continue;
            }
            Err(MailboxError::TimedOut | MailboxError::DeserializationFailed(_)) => unreachable!("no timeout, one type"),
        }
        match &mut ticks_to_come {
            None => {}
            Some(0) => break,
            Some(left) => *left -= 1,
        }
    }
    println!("sibling ticked on");
}

fn tick(root: Process<u64>, _: Mailbox<()>) {
    for number in 1.. {
        root.send(number);
        lunatic::sleep(TICK);
    }
}

fn grow((root, limit_mib): (Process<u64>, usize), _: Mailbox<()>) {
    let mut kept = Vec::new();
    for mib in 1..=limit_mib {
        kept.push(black_box(vec![1_u8; MIB]));
        println!("allocated {mib} MiB");
    }
    black_box(&kept);
    root.send(GROWN);
}
