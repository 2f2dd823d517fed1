//! A native program for containers without a file system: what it does is its first argument.
use std::{env, io, process, thread, time::Duration};

/// Takes and uses so many MiB.
fn eat(mebibytes: usize) {
    let mut food = Vec::new();
    for _ in 0..mebibytes {
        food.push(vec![1u8; 1 << 20]);
    }
    println!("ate {}", std::hint::black_box(&food).len());
}

/// Takes no notice of SIGTERM.
fn deaf() {
    unsafe extern "C" {
        safe fn signal(number: i32, handler: usize) -> usize;
    }
    const IGNORE: usize = 1;
    signal(15, IGNORE);
    println!("deaf");
    thread::sleep(Duration::from_secs(600));
}

fn main() {
    let args: Vec<String> = env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("exit") => process::exit(args[2].parse().unwrap()),
        Some("sleep") => thread::sleep(Duration::from_secs(600)),
        Some("eat") => eat(args[2].parse().unwrap()),
        Some("flood") => (0u64..).for_each(|number| println!("line {number}")),
        Some("deaf") => deaf(),
        Some("cat") => drop(io::copy(&mut io::stdin(), &mut io::stdout()).unwrap()),
        _ => {
            println!("hello {}", args[1..].join(" "));
            eprintln!("to stderr");
        }
    }
}
