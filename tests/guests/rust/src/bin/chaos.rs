//! `chaos SEED`: does at random what an actor can do, with whatever others it meets, until it ends by one of many ways.

use std::fs;
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use lunatic::host::api::{message, metrics, networking, process, registry, timer};
use lunatic::net::{TcpListener, TcpStream, UdpSocket};
use lunatic::{Mailbox, Process, WasmModule};

/// The smallest module with code.
const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
/// Things that it does, if nothing ends it before.
const STEPS: u64 = 200;

/// A generator of numbers that needs no state elsewhere (xorshift64*, <https://en.wikipedia.org/wiki/Xorshift>).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }
}

/// What it holds until it drops it or ends.
#[derive(Default)]
struct Held {
    modules: Vec<WasmModule>,
    sockets: Vec<UdpSocket>,
    streams: Vec<(TcpStream, TcpStream)>,
    files: Vec<fs::File>,
    memory: Vec<Vec<u8>>,
}

#[lunatic::main]
fn main(_: Mailbox<()>) {
    live(guests::arg(0, 1) ^ unsafe { process::process_id() });
}

fn live(seed: u64) {
    let (mut dice, mut held) = (Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), Held::default());
    // A panic is one of its ends, and its text of no use to anybody.
    std::panic::set_hook(Box::new(|_| ()));
    unsafe { process::die_when_link_dies((dice.roll(4) == 0).into()) };
    for _ in 0..STEPS {
        match dice.roll(5) {
            0 => others(&mut dice),
            1 => messages(&mut dice, &held),
            2 => files(&mut dice, &mut held),
            3 => network(&mut dice, &mut held),
            _ => alone(&mut dice, &mut held),
        }
    }
}

/// Somebody near: alive, ended or not there yet.
fn anybody(dice: &mut Dice) -> u64 {
    (unsafe { process::process_id() } + dice.roll(40)).saturating_sub(30)
}

fn others(dice: &mut Dice) {
    let (other, seed) = (anybody(dice), dice.roll(1 << 40));
    match dice.roll(9) {
        0 | 1 => drop(Process::spawn(seed, |seed, _: Mailbox<()>| live(seed))),
        2 => drop(Process::spawn_link(seed, |seed, _: Mailbox<()>| live(seed))),
        3 => unsafe { process::link(1 + dice.roll(3) as i64, other) },
        4 => unsafe { process::unlink(other) },
        5 => unsafe { process::monitor(other) },
        6 => unsafe { process::stop_monitoring(other) },
        7 => {
            let (name, mut node, mut id) = (format!("chaos/{}", dice.roll(30)), 0, 0);
            match dice.roll(3) {
                0 => unsafe { registry::put(name.as_ptr(), name.len(), 0, other) },
                1 => unsafe { registry::remove(name.as_ptr(), name.len()) },
                _ => drop(unsafe { registry::get(name.as_ptr(), name.len(), &mut node, &mut id) }),
            }
        }
        _ if dice.roll(4) == 0 => unsafe { process::kill(other) },
        _ => {}
    }
}

fn messages(dice: &mut Dice, held: &Held) {
    let other = anybody(dice);
    match dice.roll(5) {
        0 | 1 => {
            let tags = [1, 2, 3];
            let tags = if dice.roll(2) == 0 { &tags[..] } else { &[] };
            while unsafe { message::receive(tags.as_ptr(), tags.len(), dice.roll(3)) } < 3 {}
        }
        what => {
            let data = vec![7; dice.roll(2_000) as usize];
            unsafe {
                message::create_data(dice.roll(4) as i64, data.len() as u64);
                message::write_data(data.as_ptr(), data.len());
            }
            if let (Some(module), 0) = (held.modules.first(), dice.roll(4)) {
                unsafe { message::push_module(module.id() as u64) };
            }
            if what == 2 {
                let timer = unsafe { timer::send_after(other, dice.roll(3_000)) };
                if dice.roll(2) == 0 {
                    unsafe { timer::cancel_timer(timer) };
                }
            } else {
                // A flood now and then: one that does not look at its messages holds up the sender until its end.
                let times = if dice.roll(20) == 0 { 100 } else { 1 };
                for _ in 0..times {
                    unsafe { message::send_receive_skip_search(other, 3, dice.roll(2)) };
                    unsafe { message::create_data(0, 0) };
                }
            }
        }
    }
}

fn files(dice: &mut Dice, held: &mut Held) {
    let path = format!("/data/{}", dice.roll(20));
    match dice.roll(7) {
        0 => drop(fs::write(&path, vec![1; dice.roll(5_000) as usize])),
        1 => drop(fs::read(&path)),
        2 => drop(fs::remove_file(&path)),
        3 => drop(fs::read_dir("/data").map(Iterator::count)),
        4 => held.files.extend(fs::File::create(&path)),
        5 => held.files.clear(),
        _ => {
            let name = if dice.roll(2) == 0 { "" } else { "/data/shared.db" };
            let Ok(database) = guests::sqlite::open(name) else { return };
            let insert = "create table if not exists t (x); insert into t values (1); delete from t where rowid < 10";
            guests::sqlite::execute(database, insert);
            // Not all are read to their end or finalised.
            let statement = guests::sqlite::prepare(database, "select a.name from sqlite_schema a, sqlite_schema b");
            if dice.roll(2) == 0 {
                guests::sqlite::rows(statement);
            }
        }
    }
}

fn network(dice: &mut Dice, held: &mut Held) {
    match dice.roll(8) {
        0 => held.sockets.extend(UdpSocket::bind("127.0.0.1:0")),
        1 => held.sockets.clear(),
        2 => {
            for socket in &held.sockets {
                drop(socket.local_addr().map(|own| socket.send_to(b"hi", own)));
            }
        }
        3 | 4 => {
            let Ok(listener) = TcpListener::bind("127.0.0.1:0") else { return };
            let Ok(mut stream) = listener.local_addr().and_then(TcpStream::connect) else { return };
            let Ok((mut accepted, _)) = listener.accept() else { return };
            let mut answer = [0; 2];
            drop(stream.write_all(b"hi").and_then(|()| accepted.read_exact(&mut answer)));
            held.streams.push((stream, accepted));
        }
        5 => held.streams.clear(),
        6 => {
            // One end of it goes to somebody who may never take it out.
            let Some((stream, _)) = held.streams.first() else { return };
            unsafe {
                message::create_data(2, 0);
                message::push_tcp_stream(networking::clone_tcp_stream(id(stream)));
                message::send_receive_skip_search(anybody(dice), 3, 0);
            }
        }
        // Nobody listens there: the text of the error is never dropped.
        _ => {
            let (address, mut id) = ([127u8, 0, 0, 1], 0);
            unsafe { networking::tcp_connect(4, address.as_ptr(), 1, 0, 0, 100, &mut id) };
        }
    }
}

/// The stream's id, which the SDK shows in its debugging text alone.
fn id(stream: &TcpStream) -> u64 {
    let text = format!("{stream:?}");
    let digits = text.chars().skip_while(|sign| !sign.is_ascii_digit()).take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().expect("an id")
}

fn alone(dice: &mut Dice, held: &mut Held) {
    match dice.roll(14) {
        0 => lunatic::sleep(Duration::from_millis(dice.roll(5))),
        1 => {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(3) {}
        }
        2 => held.memory.push(black_box(vec![3; dice.roll(1 << 18) as usize])),
        3 => held.memory.clear(),
        4 | 5 => held.modules.extend(WasmModule::new(MODULE)),
        6 => held.modules.clear(),
        7 => drop(WasmModule::new(b"no module")),
        8 => {
            let config = unsafe { process::create_config() };
            unsafe { process::config_set_max_memory(config as u64, 1 << 20) };
            if dice.roll(2) == 0 {
                unsafe { process::drop_config(config as u64) };
            }
        }
        9 => {
            let name = format!("chaos_{}", dice.roll(20));
            unsafe { metrics::increment_counter(name.as_ptr(), name.len()) };
        }
        10 if dice.roll(10) == 0 => core::arch::wasm32::unreachable(),
        11 if dice.roll(10) == 0 => panic!("as the dice fell"),
        12 if dice.roll(10) == 0 => std::process::exit(dice.roll(3) as i32),
        13 => match dice.roll(30) {
            0 => loop {
                held.memory.push(black_box(vec![5; 1 << 20]));
            },
            1 => drop(deep(1)),
            2 => unsafe { process::drop_config(u64::MAX) },
            _ => {}
        },
        _ => {}
    }
}

#[expect(unconditional_recursion, reason = "until the stack ends")]
fn deep(depth: u64) -> u64 {
    black_box(deep(depth + 1)) + depth
}
