//! `plain_bytes`: messages of plain bytes to itself and to others, in every way that they can be received. Prints `ok`, or
//! panics at what is not as it should be. Needs to bind 127.0.0.1.

use std::time::{Duration, Instant};

use lunatic::host::api::{message, networking, process};
use lunatic::net::{TcpListener, TcpStream};
use lunatic::{Mailbox, Process};
use perigee::{receive, receive_tagged, send, ActorId, Received};

#[lunatic::main]
fn main(mailbox: Mailbox<TcpStream>) {
    let (this, mut bytes) = (ActorId::this(), Vec::new());
    sizes(this, &mut bytes);
    tags(this, &mut bytes);
    beside_the_calls_of_lunatic(&mailbox, this, &mut bytes);
    ends(&mut bytes);
    full_mailboxes(&mut bytes);
    println!("ok");
}

/// What is longer than the room for it comes whole, and room is used again.
fn sizes(this: ActorId, bytes: &mut Vec<u8>) {
    for len in [0, 1, 100, 7, 5_000, 5_000, 0] {
        let sent: Vec<u8> = (0..len).map(|index| index as u8).collect();
        send(this, 0, &sent);
        assert_eq!(receive(bytes), Received::Message { tag: 0 });
        assert_eq!(*bytes, sent);
    }
    assert!(bytes.capacity() >= 5_000);
}

fn tags(this: ActorId, bytes: &mut Vec<u8>) {
    let at_once = Some(Duration::ZERO);
    for tag in [-1, 70, 80] {
        send(this, tag, &tag.to_le_bytes());
    }
    assert_eq!(receive_tagged(&[7, 8], at_once, bytes), None);
    assert!(bytes.is_empty(), "nothing came");
    assert_eq!(receive_tagged(&[9, 80], None, bytes), Some(Received::Message { tag: 80 }));
    assert_eq!(**bytes, 80i64.to_le_bytes());
    let before = Instant::now();
    assert_eq!(receive_tagged(&[80], Some(Duration::from_millis(20)), bytes), None);
    assert!(before.elapsed() >= Duration::from_millis(20));
    assert_eq!(receive(bytes), Received::Message { tag: -1 });
    assert_eq!(receive_tagged(&[], at_once, bytes), Some(Received::Message { tag: 70 }));
    assert_eq!(receive_tagged(&[], at_once, bytes), None);
}

/// A message that is being written stays while others come and go, and resources can be taken.
fn beside_the_calls_of_lunatic(mailbox: &Mailbox<TcpStream>, this: ActorId, bytes: &mut Vec<u8>) {
    unsafe {
        message::create_data(5, 0);
        message::write_data(b"left".as_ptr(), 4);
    }
    send(this, 0, b"meanwhile");
    assert_eq!((receive(bytes), bytes.as_slice()), (Received::Message { tag: 0 }, &b"meanwhile"[..]));
    unsafe {
        assert_eq!(message::data_size(), 4);
        message::send(this.get());
    }
    assert_eq!((receive(bytes), bytes.as_slice()), (Received::Message { tag: 5 }, &b"left"[..]));

    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    mailbox.this().send(TcpStream::connect(address).expect("a connection"));
    assert!(matches!(receive(bytes), Received::Message { .. }));
    // A connection that it has not would end it.
    unsafe { networking::drop_tcp_stream(message::take_tcp_stream(0)) };
}

fn ends(bytes: &mut Vec<u8>) {
    let waits = |_: (), _: Mailbox<()>| {
        receive(&mut Vec::new());
        panic!("as it was told");
    };
    let (linked, monitored) = (Process::spawn((), waits).id(), Process::spawn((), waits).id());
    unsafe {
        process::die_when_link_dies(0);
        process::link(33, linked);
        process::monitor(monitored);
    }
    send(ActorId::new(linked), 0, b"");
    assert_eq!((receive(bytes), bytes.len()), (Received::LinkDied { tag: 33 }, 0));
    send(ActorId::new(monitored), 0, b"");
    assert_eq!(receive(bytes), Received::ActorDied(ActorId::new(monitored)));
    send(ActorId::new(monitored), 0, b"a dead one gets nothing");
    send(ActorId::new(u64::MAX), 0, b"nor does one that never was");
}

/// More than the mailbox of either side holds comes, and in its order.
fn full_mailboxes(bytes: &mut Vec<u8>) {
    let (count, parent) = (2_000u64, ActorId::this().get());
    let sink = Process::spawn((parent, count), |(parent, count): (u64, u64), _: Mailbox<()>| {
        let mut bytes = Vec::new();
        for index in 0..count {
            receive(&mut bytes);
            assert_eq!((guests::stamped(&bytes), bytes.len()), (index, 4_096));
        }
        send(ActorId::new(parent), 9, b"all");
    });
    let mut message = vec![0; 4_096];
    for index in 0..count {
        guests::stamp(&mut message, index);
        send(ActorId::new(sink.id()), 0, &message);
    }
    assert_eq!(receive_tagged(&[9], None, bytes), Some(Received::Message { tag: 9 }));
    assert_eq!(bytes.as_slice(), b"all");
}
