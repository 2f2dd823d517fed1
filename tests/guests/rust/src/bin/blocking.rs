//! `blocking WHAT TARGET [COUNT]`: measures round trips between two actors, and how fast one wakes from a sleep, alone and beside
//! COUNT that block, turn by turn. They block in `sleep` (of std), `dns` (resolves TARGET), `tcp` (connects to TARGET and reads),
//! `udp` (receives at a free port of TARGET), `compile` (the module TARGET, again and again), `sql` (that never ends), or open the
//! `pipe` TARGET, which they may not, and sleep. Prints `trip_us idle=T beside=T` and `wake_us …`, each the median over all turns of
//! the 99th percentiles, and how many blocked to the end of each.

use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use lunatic::host::api::process;
use lunatic::net::{TcpStream, UdpSocket};
use lunatic::{Mailbox, Process, WasmModule};

const TURNS: usize = 5;
const ROUND_TRIPS: u64 = 10_000;
const SLEEPS: u64 = 200;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3_600);
const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";

/// 99th percentiles, in nanoseconds.
#[derive(Clone, Copy)]
struct Measured {
    trip: u64,
    wake: u64,
}

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let (what, target) = (guests::text_arg(0, "blocking WHAT TARGET"), guests::text_arg(1, "blocking WHAT TARGET"));
    let count = guests::arg(2, 1_000);
    let (mut idle, mut beside, mut least) = (Vec::new(), Vec::new(), count);
    for _ in 0..TURNS {
        idle.push(measure(&mailbox));
        let blocking: Vec<Process<()>> = (0..count)
            .map(|_| {
                Process::spawn((mailbox.this(), what.clone(), target.clone()), |(main, what, target), _: Mailbox<()>| {
                    main.send(1);
                    block(&what, &target);
                    main.send(0);
                })
            })
            .collect();
        (0..count).for_each(|_| assert_eq!(mailbox.receive(), 1, "none goes on"));
        // They have said that they are about to block: now they do.
        lunatic::sleep(Duration::from_millis(300));
        if what == "pipe" {
            // Who asks about a file needs no thread that those hold.
            fs::metadata(&target).expect("the pipe is there");
        }
        beside.push(measure(&mailbox));
        let mut blocked = count;
        while mailbox.receive_timeout(Duration::ZERO).is_ok() {
            blocked -= 1;
        }
        least = least.min(blocked);
        blocking.iter().for_each(Process::kill);
        while blocking.iter().any(|blocked| unsafe { process::exists(blocked.id()) } == 1) {
            lunatic::sleep(Duration::from_millis(1));
        }
        while mailbox.receive_timeout(Duration::ZERO).is_ok() {}
    }
    let median = |all: &[Measured], of: fn(&Measured) -> u64| {
        let mut all: Vec<u64> = all.iter().map(of).collect();
        all.sort_unstable();
        all[TURNS / 2] as f64 / 1e3
    };
    for (name, of) in [("trip", (|all| all.trip) as fn(&Measured) -> u64), ("wake", |all| all.wake)] {
        println!("{name}_us idle={:.1} beside={:.1}", median(&idle, of), median(&beside, of));
    }
    println!("blocked {least}");
}

fn measure(mailbox: &Mailbox<u64>) -> Measured {
    Process::spawn(mailbox.this(), |main, mailbox: Mailbox<u64>| {
        let partner = Process::spawn(mailbox.this(), |caller, mailbox: Mailbox<u64>| loop {
            caller.send(mailbox.receive());
        });
        let trip = p99(ROUND_TRIPS, |round| {
            partner.send(round);
            assert_eq!(mailbox.receive(), round);
        });
        partner.kill();
        main.send(trip);
        main.send(p99(SLEEPS, |_| lunatic::sleep(Duration::from_millis(1))));
    });
    Measured { trip: mailbox.receive(), wake: mailbox.receive() }
}

fn p99(times: u64, mut of: impl FnMut(u64)) -> u64 {
    let mut took: Vec<Duration> = (0..times)
        .map(|number| {
            let began = Instant::now();
            of(number);
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() * 99 / 100].as_nanos() as u64
}

fn block(what: &str, target: &str) {
    let mut buffer = [0; 16];
    match what {
        "sleep" => std::thread::sleep(LONG),
        "pipe" => {
            fs::File::open(target).expect_err("a pipe is no file");
            lunatic::sleep(LONG);
        }
        "compile" => {
            let bytes = fs::read(target).expect("a module");
            while WasmModule::new(&bytes).is_ok() {}
        }
        "dns" => drop(lunatic::net::resolve_timeout(target, LONG)),
        "tcp" => drop(TcpStream::connect(target).expect("a connection").read(&mut buffer)),
        "sql" => drop(guests::sqlite::open("").map(|id| guests::sqlite::execute(id, ENDLESS))),
        "udp" => {
            let any_port = (target.parse::<std::net::IpAddr>().expect("an address"), 0);
            drop(UdpSocket::bind(any_port).expect("a socket").recv(&mut buffer));
        }
        other => panic!("argument 0 is {other:?}"),
    }
}
