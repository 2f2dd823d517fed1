//! `spawn_rate [N] [SPAWNERS] [BATCH]`: N actors in all that allocate a little and end, spawned by some at once. Prints
//! the rate.
//!
//! A spawner does not wait for each, which would measure how fast it wakes up: it waits for the last one of every batch,
//! which answers. So as many are alive as the batches of all spawners, and no more.

use std::time::Instant;

use lunatic::host::api::{message, process};
use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let each = guests::arg(0, 2_000u64) / guests::arg(1, 4u64);
    let batch = guests::arg(2, 64u64);
    let started = Instant::now();
    for _ in 0..guests::arg(1, 4u64) {
        Process::spawn((mailbox.this(), each, batch), spawner);
    }
    let ended = (0..guests::arg(1, 4u64)).map(|_| mailbox.receive()).sum();
    guests::print_rate("spawn_rate", ended, started);
}

fn spawner((main, count, batch): (Process<u64>, u64, u64), _: Mailbox<()>) {
    let me = unsafe { process::process_id() };
    for number in 1..=count {
        let answers = number % batch == 0 || number == count;
        spawn(if answers { me } else { NOBODY });
        if answers {
            unsafe { message::receive(std::ptr::null(), 0, u64::MAX) };
        }
    }
    main.send(count);
}

/// Ids of actors begin at 1.
const NOBODY: u64 = 0;

/// By the host's call itself: the crate's own way sends each child a message, too.
fn spawn(answer: u64) {
    const I64: u8 = 0x7e;
    let mut argument = [0; 17];
    argument[0] = I64;
    argument[1..9].copy_from_slice(&answer.to_le_bytes());
    let (function, mut id) = ("child", 0);
    let refused = unsafe {
        process::spawn(0, -1, -1, function.as_ptr(), function.len(), argument.as_ptr(), argument.len(), &mut id)
    };
    assert_eq!(refused, 0, "an actor was not spawned");
}

#[no_mangle]
extern "C" fn child(answer: u64) {
    let numbers: Vec<u64> = (0..64).collect();
    assert_eq!(std::hint::black_box(&numbers).iter().sum::<u64>(), 2_016);
    if answer != NOBODY {
        unsafe {
            message::create_data(1, 0);
            message::send(answer);
        }
    }
}
