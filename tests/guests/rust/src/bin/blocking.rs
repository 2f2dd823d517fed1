//! `blocking WHAT TARGET [COUNT]`: measures round trips between two actors, alone and then beside COUNT that block: in
//! `sleep` (of std), `file` (opens TARGET, a pipe), `dns` (resolves TARGET), `tcp` (connects to TARGET and reads), `udp`
//! (receives at a free port of TARGET), `sql` (that never ends). Prints `idle …` and `beside …` with percentiles, and how many were blocked to the end.

use std::io::Read;
use std::time::{Duration, Instant};

use lunatic::net::{TcpStream, UdpSocket};
use lunatic::{Mailbox, Process};

const ROUND_TRIPS: usize = 2_000;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3_600);
const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let (what, target) = (guests::text_arg(0, "blocking WHAT TARGET"), guests::text_arg(1, "blocking WHAT TARGET"));
    let count = guests::arg(2, 1_000);
    measure("idle", &mailbox);
    for _ in 0..count {
        Process::spawn((mailbox.this(), what.clone(), target.clone()), |(main, what, target), _: Mailbox<()>| {
            main.send(1);
            block(&what, &target);
            main.send(0);
        });
    }
    for _ in 0..count {
        assert_eq!(mailbox.receive(), 1, "none goes on");
    }
    // They have said that they are about to block: now they do.
    lunatic::sleep(Duration::from_millis(500));
    measure("beside", &mailbox);
    let mut blocked = count;
    while mailbox.receive_timeout(Duration::ZERO).is_ok() {
        blocked -= 1;
    }
    println!("blocked {blocked}");
}

fn measure(name: &str, mailbox: &Mailbox<u64>) {
    Process::spawn((mailbox.this(), name.to_owned()), |(main, name), mailbox: Mailbox<u64>| {
        let partner = Process::spawn(mailbox.this(), |caller, mailbox: Mailbox<u64>| loop {
            caller.send(mailbox.receive());
        });
        let mut took = Vec::with_capacity(ROUND_TRIPS);
        for round in 0..ROUND_TRIPS as u64 {
            let began = Instant::now();
            partner.send(round);
            assert_eq!(mailbox.receive(), round);
            took.push(began.elapsed());
        }
        partner.kill();
        guests::print_percentiles(&name, took);
        main.send(2);
    });
    assert_eq!(mailbox.receive(), 2);
}

fn block(what: &str, target: &str) {
    let mut buffer = [0; 16];
    match what {
        "sleep" => std::thread::sleep(LONG),
        "file" => drop(std::fs::File::open(target)),
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
