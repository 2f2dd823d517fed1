//! `sleeper_vs_spinners [SPINNERS] [SAMPLES]`: some actors spin for ever while one sleeps 1 ms at a time. Prints how long
//! its sleeps took, in microseconds.

use std::time::{Duration, Instant};

use lunatic::{Mailbox, Process};

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let spinners: usize = guests::arg(0, 8);
    let samples: usize = guests::arg(1, 500).max(1);
    let spinning: Vec<Process<()>> = (0..spinners).map(|_| Process::spawn((), spin)).collect();
    let mut took: Vec<_> = (0..samples).map(|_| one_sleep()).collect();
    took.sort_unstable();
    let percentile = |p: usize| took[(samples - 1) * p / 100];
    println!(
        "sleep_1ms spinners={spinners} samples={samples} p50_us={} p99_us={} max_us={}",
        percentile(50),
        percentile(99),
        percentile(100)
    );
    for spinner in spinning {
        spinner.kill();
    }
}

fn one_sleep() -> u128 {
    let started = Instant::now();
    lunatic::sleep(Duration::from_millis(1));
    started.elapsed().as_micros()
}

fn spin(_: (), _: Mailbox<()>) {
    loop {}
}
