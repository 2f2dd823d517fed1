//! Greets at an interval. Ordinary Rust: the actor sleeps, the worker thread beneath does not.

use std::time::Duration;

fn main() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "world".to_owned());
    let seconds = std::env::var("INTERVAL_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for count in 1_u64.. {
        println!("hello, {name}: {count}");
        std::thread::sleep(Duration::from_secs(seconds));
    }
}
