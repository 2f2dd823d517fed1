//! Stands in for the worker: says what it was started with.
use std::{env, fs};

fn main() {
    println!("args {}", env::args().skip(1).collect::<Vec<_>>().join(" "));
    println!("app {}", fs::read_to_string("/.perigee/app.json").unwrap());
    println!("written {}", fs::write("/.perigee/app.json", "").is_ok());
    if env::args().nth(1).as_deref() == Some("worker") && env::var_os("STAY").is_some() {
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
}
