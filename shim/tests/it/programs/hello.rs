//! A native program for containers without a file system: what it does is its first argument.
use std::{env, io, process, thread, time::Duration};

fn main() {
    let args: Vec<String> = env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("exit") => process::exit(args[2].parse().unwrap()),
        Some("sleep") => thread::sleep(Duration::from_secs(600)),
        Some("cat") => drop(io::copy(&mut io::stdin(), &mut io::stdout()).unwrap()),
        _ => {
            println!("hello {}", args[1..].join(" "));
            eprintln!("to stderr");
        }
    }
}
