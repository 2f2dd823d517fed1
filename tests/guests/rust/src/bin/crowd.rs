//! `crowd to_one|to_all [ACTORS] [MESSAGES] [PEERS]`: ACTORS that send messages of 64 bytes, MESSAGES each. `to_one`: all
//! to one. `to_all`: to each other, spread over PEERS of them. Prints the rate at which all were received.

use std::time::Instant;

use lunatic::{Mailbox, Process};
use perigee::ActorId;

const BYTES: usize = 64;

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let pattern = guests::text_arg(0, "crowd to_one|to_all");
    let (actors, messages) = (guests::arg(1, 100u64), guests::arg(2, 10u64));
    match pattern.as_str() {
        "to_one" => to_one(&mailbox, actors, messages),
        "to_all" => to_all(&mailbox, actors, messages, guests::arg(3, 10)),
        other => panic!("argument 0 is {other:?}"),
    }
}

fn to_one(mailbox: &Mailbox<u64>, actors: u64, messages: u64) {
    let senders: Vec<_> = (0..actors).map(|_| Process::spawn((mailbox.this(), messages), send_to_main)).collect();
    let started = Instant::now();
    for sender in senders {
        sender.send(());
    }
    let mut message = Vec::new();
    for _ in 0..actors * messages {
        perigee::receive(&mut message);
        assert_eq!(message.len(), BYTES, "a message was cut");
    }
    guests::print_rate("to_one", actors * messages, started);
}

fn send_to_main((main, messages): (Process<u64>, u64), mailbox: Mailbox<()>) {
    mailbox.receive();
    for _ in 0..messages {
        perigee::send(ActorId::new(main.id()), 0, &[0; BYTES]);
    }
}

fn to_all(mailbox: &Mailbox<u64>, actors: u64, messages: u64, peers: u64) {
    let crowd: Vec<Process<Vec<u64>>> = (0..actors).map(|_| Process::spawn((mailbox.this(), messages), exchange)).collect();
    let step = (actors / peers).max(1);
    for (index, actor) in (0..).zip(&crowd) {
        let peers = (1..=peers).map(|number| crowd[((index + number * step) % actors) as usize].id());
        actor.send(peers.collect());
    }
    for _ in &crowd {
        mailbox.receive();
    }
    let started = Instant::now();
    for actor in &crowd {
        perigee::send(ActorId::new(actor.id()), 0, BEGIN);
    }
    let received = crowd.iter().map(|_| mailbox.receive()).sum();
    guests::print_rate("to_all", received, started);
}

/// What lets an actor begin: a message without bytes, since those of others may come before it.
const BEGIN: &[u8] = &[];

/// As many come as go, since each sends to those that are as far from it around the circle.
fn exchange((main, messages): (Process<u64>, u64), mailbox: Mailbox<Vec<u64>>) {
    let peers = mailbox.receive();
    main.send(0);
    let (mut message, mut received) = (Vec::new(), 0);
    loop {
        perigee::receive(&mut message);
        if message == BEGIN {
            break;
        }
        received += 1;
    }
    for number in 0..messages {
        perigee::send(ActorId::new(peers[number as usize % peers.len()]), 0, &[0; BYTES]);
    }
    for _ in received..messages {
        perigee::receive(&mut message);
    }
    main.send(messages);
}
