//! `limits WHAT COUNT`: one actor takes COUNT of something and says what it holds, or what it was told instead; then another
//! one shows that it lives. Prints `held N` or `error after N: TEXT`, or `ended badly`; then `another lives`.

use std::fs::File;

use lunatic::host::api::{message, process, registry, timer};
use lunatic::net::UdpSocket;
use lunatic::{Mailbox, MessageSignal, Process, WasmModule};

/// The smallest module with code: one function, which does nothing.
const SMALL_MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
/// Of a message in a mailbox, beside its data.
const OVERHEAD: usize = 64;
/// What each message takes in a mailbox that is filled.
const MESSAGE: usize = 256;
const FILLS: i64 = 90;
const GO: i64 = 91;
/// Later than anything here.
const NEVER: u64 = 1 << 40;

type Taken<T> = Result<T, String>;

#[lunatic::main]
fn main(mailbox: Mailbox<String>) {
    let (what, count) = (guests::text_arg(0, "limits WHAT COUNT"), guests::arg(1, 1));
    let main = mailbox.this();
    if what == "mailbox" {
        fill(&mailbox, count);
    } else {
        let mailbox = mailbox.catch_link_failure();
        Process::spawn_link((main, what, count), |(main, what, count), own: Mailbox<()>| main.send(take(&own, &what, count)));
        match mailbox.receive() {
            MessageSignal::Message(text) => println!("{text}"),
            MessageSignal::Signal(_) => println!("ended badly"),
        }
        Process::spawn(main, |main, _: Mailbox<()>| main.send("another lives".to_owned()));
        let MessageSignal::Message(text) = mailbox.receive() else { panic!("two have ended") };
        println!("{text}");
    }
}

/// All that is taken is held until the last one, and given back at the end.
fn take(own: &Mailbox<()>, what: &str, count: usize) -> String {
    let id = own.this().id();
    match what {
        "pages" => hold(count, |_| grow()),
        "message" => hold(1, |_| send_to_idle(count)),
        "timers" => hold(count, |_| unsafe {
            message::create_data(1, 0);
            Ok(timer::send_after(id, NEVER))
        }),
        "names" => hold(count, |number| Ok(name(&format!("limits/{number}"), id))),
        "name" => hold(1, |_| Ok(name(&"n".repeat(count), id))),
        "tags" => hold(1, |_| Ok(unsafe { message::receive(vec![1i64; count].as_ptr(), count, 0) })),
        "links" => hold(count, |_| Ok(unsafe { process::link(0, idle().id()) })),
        "monitors" => hold(count, |_| Ok(unsafe { process::monitor(idle().id()) })),
        "sockets" => hold(count, |_| UdpSocket::bind("127.0.0.1:0").map_err(text)),
        "lists" => hold(count, |_| lunatic::net::resolve("127.0.0.1:1").map_err(text)),
        "files" => hold(count, |_| File::open("/data/note").map_err(text)),
        "modules" => hold(count, |_| WasmModule::new(SMALL_MODULE).map_err(text)),
        "configurations" => hold(count, |_| Ok(unsafe { process::create_config() })),
        "databases" => hold(count, |_| guests::sqlite::open("")),
        "statements" => {
            let database = guests::sqlite::open("").expect("a database");
            hold(count, |_| Ok(guests::sqlite::prepare(database, "select 1")))
        }
        other => panic!("argument 0 is {other:?}"),
    }
}

fn hold<T>(count: usize, mut one: impl FnMut(usize) -> Taken<T>) -> String {
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        match one(held.len()) {
            Ok(taken) => held.push(taken),
            Err(error) => return format!("error after {}: {error}", held.len()),
        }
    }
    format!("held {count}")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// One page more. Nothing else allocates in between.
fn grow() -> Taken<()> {
    match core::arch::wasm32::memory_grow::<0>(1) {
        usize::MAX => Err(format!("{} pages in all", core::arch::wasm32::memory_size::<0>())),
        _ => Ok(()),
    }
}

fn name(name: &str, id: u64) {
    unsafe { registry::put(name.as_ptr(), name.len(), 0, id) };
}

/// One that lives until the end of all.
fn idle() -> Process<()> {
    Process::spawn((), |(), mailbox: Mailbox<()>| mailbox.receive())
}

/// Sends one message that takes so many bytes of a mailbox.
fn send_to_idle(bytes: usize) -> Taken<()> {
    send(idle().id(), 0, bytes);
    Ok(())
}

fn send(id: u64, tag: i64, bytes: usize) {
    let data = vec![0; bytes - OVERHEAD];
    unsafe {
        message::create_data(tag, data.len() as u64);
        message::write_data(data.as_ptr(), data.len());
        message::send(id);
    }
}

/// One sends COUNT messages to one that does not look at them yet.
fn fill(mailbox: &Mailbox<String>, count: usize) {
    let receiver = Process::spawn(mailbox.this(), |main, _: Mailbox<()>| {
        let receive = |tags: &[i64], timeout| unsafe { message::receive(tags.as_ptr(), tags.len(), timeout) == 0 };
        receive(&[GO], u64::MAX);
        let mut received = 0;
        while receive(&[FILLS], 300) {
            received += 1;
        }
        main.send(format!("received {received}"));
    });
    Process::spawn((mailbox.this(), receiver.id(), count), |(main, receiver, count), _: Mailbox<()>| {
        (0..count).for_each(|_| send(receiver, FILLS, MESSAGE));
        main.send("sent".to_owned());
    });
    match mailbox.receive_timeout(std::time::Duration::from_millis(300)) {
        Ok(text) => println!("{text} at once"),
        Err(_) => println!("the sender waits"),
    }
    send(receiver.id(), GO, OVERHEAD);
    let received = loop {
        let text = mailbox.receive();
        if text != "sent" {
            break text;
        }
    };
    println!("{received}");
}
