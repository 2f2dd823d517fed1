//! What several guests need: their arguments, rates, and numbers in messages.

pub mod sqlite;

use std::fmt::Display;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The argument at `index` (0 is the first after the program's name), or `default` when there are fewer.
///
/// # Panics
/// When it does not parse: a test that passes nonsense should see so.
pub fn arg<T: FromStr>(index: usize, default: T) -> T {
    match std::env::args().nth(index + 1) {
        None => default,
        Some(text) => text.parse().unwrap_or_else(|_| panic!("argument {index} is {text:?}, which does not parse")),
    }
}

/// The text argument at `index`.
///
/// # Panics
/// When there are fewer arguments; `usage` says what is expected.
pub fn text_arg(index: usize, usage: &str) -> String {
    std::env::args().nth(index + 1).unwrap_or_else(|| panic!("argument {index} is missing: {usage}"))
}

/// Prints `WHAT count=N seconds=S per_second=R`, for tests and benchmarks to read.
pub fn print_rate(what: &str, count: u64, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!("{what} count={count} seconds={seconds:.6} per_second={:.0}", count as f64 / seconds);
}

/// Prints `WHAT samples=N p50_us=T p99_us=T max_us=T`, if there are any.
pub fn print_percentiles(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let Some(last) = took.len().checked_sub(1) else { return };
    let percentile = |p: usize| took[last * p / 100].as_secs_f64() * 1e6;
    let (p50, p99, max) = (percentile(50), percentile(99), percentile(100));
    println!("{what} samples={} p50_us={p50:.1} p99_us={p99:.1} max_us={max:.1}", took.len());
}

/// Writes a number to the start of a message of 8 bytes or more.
pub fn stamp(message: &mut [u8], number: u64) {
    message[..8].copy_from_slice(&number.to_le_bytes());
}

/// The number at the start of a message.
pub fn stamped(message: &[u8]) -> u64 {
    u64::from_le_bytes(message[..8].try_into().expect("8 bytes"))
}

/// Prints `ok: VALUE` or `error: TEXT`.
pub fn print_result<T: Display, E: Display>(result: Result<T, E>) {
    match result {
        Ok(value) => println!("ok: {value}"),
        Err(error) => println!("error: {error}"),
    }
}
