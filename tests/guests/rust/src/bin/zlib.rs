//! `zlib spin|grow`: C code in an actor. `spin`: more actors than there are threads compress without end, and the first one
//! still wakes from its sleeps. `grow`: one allocates by C until it is refused, and says so.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use libz_sys::{compress2, compressBound, deflateInit_, z_stream, zlibVersion, Z_MEM_ERROR, Z_OK};
use lunatic::{Mailbox, Process};

const SPINNERS: usize = 8;
const SLEEPS: usize = 100;

#[lunatic::main]
fn main(mailbox: Mailbox<()>) {
    match guests::text_arg(0, "zlib spin|grow").as_str() {
        "spin" => spin(&mailbox),
        "grow" => grow(),
        other => panic!("argument 0 is {other:?}"),
    }
}

fn spin(mailbox: &Mailbox<()>) {
    let spinners: Vec<_> = (0..SPINNERS).map(|_| Process::spawn(mailbox.this(), compress_for_ever)).collect();
    for _ in &spinners {
        mailbox.receive();
    }
    let mut took = Vec::new();
    for _ in 0..SLEEPS {
        let began = Instant::now();
        lunatic::sleep(Duration::from_millis(1));
        took.push(began.elapsed());
    }
    guests::print_percentiles("sleep", took);
    for spinner in spinners {
        spinner.kill();
    }
    println!("ok: killed");
}

fn compress_for_ever(main: Process<()>, _: Mailbox<()>) {
    main.send(());
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let mut room = vec![0; unsafe { compressBound(bytes.len() as _) } as usize];
    loop {
        let mut len = room.len() as _;
        // Tens of milliseconds, all of it C.
        let done = unsafe { compress2(room.as_mut_ptr(), &mut len, bytes.as_ptr(), bytes.len() as _, 9) };
        assert_eq!(done, Z_OK);
    }
}

/// Each stream of zlib's takes a quarter of a megabyte.
fn grow() {
    let mut streams = 0;
    let refused = loop {
        let stream = Box::leak(Box::new(MaybeUninit::<z_stream>::zeroed()));
        match unsafe { deflateInit_(stream.as_mut_ptr(), 9, zlibVersion(), size_of::<z_stream>() as i32) } {
            Z_OK => streams += 1,
            other => break other,
        }
    };
    assert_eq!(refused, Z_MEM_ERROR);
    println!("refused after {streams}");
}
