//! `hostile WHAT`: does to its host what once took a whole runtime down, and prints how that went.

use std::time::Duration;

use lunatic::host::api::{message, process, registry};
use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    match guests::text_arg(0, "create_data|flood|order|names|links|timers").as_str() {
        "create_data" => create_data(),
        "flood" => flood(&mailbox),
        "order" => order(&mailbox),
        "names" => names(&mailbox),
        what @ ("links" | "monitors" | "timers" | "tags") => dies_alone(what),
        other => panic!("argument 0 is {other:?}"),
    }
}

/// Capacities that no machine has.
fn create_data() {
    for capacity in [1 << 42, u64::MAX] {
        unsafe {
            message::create_data(1, capacity);
            assert_eq!(message::write_data([7u8].as_ptr(), 1), 1);
            assert_eq!(message::data_size(), 1);
        }
    }
    println!("ok: alive");
}

/// Sends 64 KiB at a time to one that sleeps, which then counts what was queued for it.
fn flood(mailbox: &Mailbox<u64>) {
    let sleeper = Process::spawn(mailbox.this(), |main, mailbox: Mailbox<Vec<u8>>| {
        lunatic::sleep(Duration::from_millis(600));
        let mut queued = 0;
        while mailbox.receive_timeout(Duration::ZERO).is_ok() {
            queued += 1;
        }
        main.send(queued);
    });
    let flooder = Process::spawn(sleeper, |sleeper, _: Mailbox<()>| loop {
        sleeper.send(vec![0; 64 << 10]);
    });
    lunatic::sleep(Duration::from_millis(300));
    flooder.kill();
    println!("queued {}", mailbox.receive());
}

/// A receive that times out, then two messages.
fn order(mailbox: &Mailbox<u64>) {
    for round in 0..20 {
        assert!(mailbox.receive_timeout(Duration::from_millis(5)).is_err());
        Process::spawn(mailbox.this(), |main, _: Mailbox<()>| {
            main.send(1);
            main.send(2);
        });
        lunatic::sleep(Duration::from_millis(10));
        assert_eq!((mailbox.receive(), mailbox.receive()), (1, 2), "round {round}");
    }
    println!("ok: in order");
}

/// A name of one that has ended.
fn names(mailbox: &Mailbox<u64>) {
    let child = Process::spawn_link(mailbox.this(), |main, own: Mailbox<()>| {
        let name = "hostile/gone";
        unsafe { registry::put(name.as_ptr(), name.len(), 0, own.this().id()) };
        main.send(0);
        own.receive();
    });
    mailbox.receive();
    assert!(holder("hostile/gone").is_some());
    child.unlink();
    child.kill();
    while unsafe { process::exists(child.id()) } == 1 {
        lunatic::sleep(Duration::from_millis(1));
    }
    println!("holder {:?}", holder("hostile/gone"));
}

fn holder(name: &str) -> Option<u64> {
    let (mut node, mut id) = (0, 0);
    let found = unsafe { registry::get(name.as_ptr(), name.len(), &mut node, &mut id) };
    (found == 0).then_some(id)
}

/// A child takes without end; only the child may suffer.
fn dies_alone(what: &str) {
    unsafe { process::die_when_link_dies(0) };
    let child: Process<()> = match what {
        "links" => Process::spawn_link((), |(), _: Mailbox<()>| {
            unsafe { process::die_when_link_dies(0) };
            loop {
                unsafe { process::link(1, 1 << 40) };
            }
        }),
        "monitors" => Process::spawn_link((), |(), _: Mailbox<()>| loop {
            unsafe { process::monitor(1 << 40) };
        }),
        "timers" => Process::spawn_link((), |(), mailbox: Mailbox<()>| loop {
            unsafe {
                message::create_data(0, 0);
                lunatic::host::api::timer::send_after(mailbox.this().id(), 1 << 40);
            }
        }),
        _ => Process::spawn_link((), |(), _: Mailbox<()>| {
            let tags = vec![5i64; 100_000];
            unsafe { message::receive(tags.as_ptr(), tags.len(), 0) };
        }),
    };
    let got = unsafe { message::receive(std::ptr::null(), 0, 60_000) };
    println!("child {} ended: {}", child.id(), got == 1);
}
