//! Every benchmark: what runs, what is read from it, what it should reach, and who is measured beside it.

use super::echo;
use super::figures::Printed;
use super::guest::Guest;
use super::processes;
use super::target::Better::{Higher, Lower};
use super::target::{Better, Target};

pub(super) struct Benchmark {
    pub(super) name: &'static str,
    pub(super) run: Run,
    pub(super) peer: Option<Peer>,
    pub(super) figures: &'static [Figure],
}

#[derive(Clone, Copy)]
pub(super) enum Run {
    /// A guest program, which prints its figures.
    Guest(Guest),
    /// The same, and once more on one core: its rate there is [`Guest::ONE_CORE`].
    Scaling(Guest),
    /// What an idle `perigee` holds.
    Idle,
    /// How long a program takes to its first output.
    Start,
    /// Input of a connection beside actors that spin.
    Socket,
    /// A server of many connections.
    Echo,
}

#[derive(Clone, Copy)]
pub(super) enum Peer {
    /// A function of erlang/bench.erl, and its arguments.
    Erlang(&'static [&'static str]),
    /// tokio's server.
    Tokio,
    /// Instances of a tiny module, without actors.
    BareTiny,
    /// The same of a guest program.
    BareGuest(&'static str),
    /// The same guest program, with these arguments.
    Wasmtime(&'static str, &'static [&'static str]),
}

pub(super) type Read = fn(&Printed) -> Option<f64>;

pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    pub(super) target: Option<Target>,
    pub(super) read: Read,
}

const fn figure(name: &'static str, unit: &'static str, better: Better, target: Option<Target>, read: Read) -> Figure {
    Figure { name, unit, better, target, read }
}

const fn value(target: f64) -> Option<Target> {
    Some(Target::Value(target))
}

const fn peer(ratio: f64) -> Option<Target> {
    Some(Target::Peer(ratio))
}

/// The rate of `wasmtime run`, within 5 %.
const LIKE_WASMTIME: Option<Target> = peer(0.95);

fn per_second(printed: &Printed) -> Option<f64> {
    printed.get("per_second")
}

/// More exactly than by `per_second`, which is a whole number: these are few.
fn rounds_per_second(printed: &Printed) -> Option<f64> {
    Some(printed.get("count")? / printed.get("seconds")?)
}

fn on_one_core(printed: &Printed) -> Option<f64> {
    printed.get(Guest::ONE_CORE)
}

/// How many times the rate of one core all have.
fn scaling(printed: &Printed) -> Option<f64> {
    Some(per_second(printed)? / on_one_core(printed)?)
}

fn round_trip(printed: &Printed) -> Option<f64> {
    Some(1e6 / per_second(printed)?)
}

fn memory_each(printed: &Printed) -> Option<f64> {
    Some(printed.get(Guest::RESTED)? / printed.get("alive")? / 1024.0)
}

fn peak_each(printed: &Printed) -> Option<f64> {
    Some(printed.get(Guest::PEAK)? / printed.get("alive")? / 1024.0)
}

pub(super) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "spawn_rust",
        run: Run::Scaling(Guest::new("spawn_rate", &["200000", "4", "64"])),
        peer: Some(Peer::BareGuest("brief")),
        figures: &[
            figure("spawn + run + end, Rust guest of 17 pages", "1/s", Higher, value(380_000.0), per_second),
            figure("the Rust guest, one core", "1/s", Higher, None, on_one_core),
            figure("the Rust guest, all cores to one", "x", Higher, value(1.7), scaling),
        ],
    },
    Benchmark {
        name: "spawn_tiny",
        run: Run::Scaling(Guest::new("c_tiny", &["rate", "400000", "4", "64"])),
        peer: Some(Peer::BareTiny),
        figures: &[
            figure("spawn + run + end, module of 1 page", "1/s", Higher, value(600_000.0), per_second),
            figure("the module of 1 page, one core", "1/s", Higher, None, on_one_core),
            figure("the module of 1 page, all cores to one", "x", Higher, None, scaling),
        ],
    },
    Benchmark {
        name: "spawn_reply",
        run: Run::Guest(Guest::new("spawn_reply", &["20000"])),
        peer: Some(Peer::Erlang(&["spawn_reply", "20000"])),
        figures: &[
            figure("spawn, reply, end, Rust guest, p50", "us", Lower, value(10.0), |printed| printed.get("p50_us")),
            figure("spawn, reply, end, Rust guest, p99", "us", Lower, None, |printed| printed.get("p99_us")),
        ],
    },
    Benchmark {
        name: "ping_pong",
        run: Run::Guest(Guest::new("ping_pong", &["300000"])),
        peer: Some(Peer::Erlang(&["ping_pong", "300000"])),
        figures: &[figure("ping-pong round trip, mean", "us", Lower, peer(1.0), round_trip)],
    },
    Benchmark {
        name: "one_way_64",
        run: Run::Guest(Guest::new("one_way", &["2000000", "64"])),
        peer: Some(Peer::Erlang(&["one_way", "2000000", "64"])),
        figures: &[figure("one-way messages of 64 bytes", "1/s", Higher, peer(1.0), per_second)],
    },
    Benchmark {
        name: "one_way_4096",
        run: Run::Guest(Guest::new("one_way", &["500000", "4096"])),
        peer: Some(Peer::Erlang(&["one_way", "500000", "4096"])),
        figures: &[figure("one-way messages of 4 KiB", "1/s", Higher, value(1_500_000.0), per_second)],
    },
    Benchmark {
        name: "many_to_one",
        run: Run::Guest(Guest::new("crowd", &["to_one", "10000", "100"]).among(10_000)),
        peer: Some(Peer::Erlang(&["to_one", "10000", "100"])),
        figures: &[figure("many to one, 10,000 actors", "1/s", Higher, peer(1.0), per_second)],
    },
    Benchmark {
        name: "all_to_all",
        run: Run::Guest(Guest::new("crowd", &["to_all", "10000", "100", "100"]).among(10_000)),
        peer: Some(Peer::Erlang(&["to_all", "10000", "100", "100"])),
        figures: &[figure("all to all, 10,000 actors", "1/s", Higher, peer(1.0), per_second)],
    },
    Benchmark {
        name: "sleep",
        run: Run::Guest(Guest::new("sleeper_vs_spinners", &["8", "500"])),
        peer: Some(Peer::Erlang(&["sleep", "8", "500"])),
        figures: &[
            figure("sleep of 1 ms beside 8 spinners, p50", "us", Lower, value(1_200.0), |printed| printed.get("p50_us")),
            figure("sleep of 1 ms beside 8 spinners, p99", "us", Lower, value(2_000.0), |printed| printed.get("p99_us")),
        ],
    },
    Benchmark {
        name: "socket",
        run: Run::Socket,
        peer: None,
        figures: &[
            figure("socket input beside 8 spinners, p50", "us", Lower, None, |printed| printed.get("p50_us")),
            figure("socket input beside 8 spinners, p99", "us", Lower, value(2_000.0), |printed| printed.get("p99_us")),
        ],
    },
    Benchmark {
        name: "echo",
        run: Run::Echo,
        peer: Some(Peer::Tokio),
        figures: &[
            figure("TCP echo, 10,000 connections held", "1/s", Higher, peer(0.5), per_second),
            figure("memory of one of those connections", "KiB", Lower, None, |printed| printed.get(echo::EACH_KIB)),
        ],
    },
    Benchmark {
        name: "compute_zlib",
        run: Run::Guest(Guest::new("compute", &["zlib", "10"])),
        peer: Some(Peer::Wasmtime("compute", &["zlib", "10"])),
        figures: &[figure("compression (zlib)", "1/s", Higher, LIKE_WASMTIME, rounds_per_second)],
    },
    Benchmark {
        name: "compute_json",
        run: Run::Guest(Guest::new("compute", &["json", "20"])),
        peer: Some(Peer::Wasmtime("compute", &["json", "20"])),
        figures: &[figure("JSON (serde_json)", "1/s", Higher, LIKE_WASMTIME, rounds_per_second)],
    },
    Benchmark {
        name: "compute_sql",
        run: Run::Guest(Guest::new("compute", &["sql", "10"])),
        peer: Some(Peer::Wasmtime("compute", &["sql", "10"])),
        figures: &[figure("SQL (SQLite in the guest)", "1/s", Higher, LIKE_WASMTIME, rounds_per_second)],
    },
    Benchmark {
        name: "idle",
        run: Run::Idle,
        peer: None,
        figures: &[figure("memory of perigee with an idle actor (PSS)", "MiB", Lower, value(6.0), |printed| {
            printed.get(processes::PSS_MIB)
        })],
    },
    Benchmark {
        name: "start",
        run: Run::Start,
        peer: None,
        figures: &[figure("start to first output, cached code", "ms", Lower, value(10.0), |printed| {
            printed.get(processes::START_MS)
        })],
    },
    // Last: the kernel is still busy for a while with the memory that they give back, beside whatever runs next.
    Benchmark {
        name: "live_tiny",
        run: Run::Guest(Guest::new("c_tiny", &["live", "1000000", "30000"]).among(1_000_000)),
        peer: None,
        figures: &[
            figure("memory of one of 1,000,000 live actors of 1 page", "KiB", Lower, value(14.5), memory_each),
            figure("the most that one of those of 1 page took", "KiB", Lower, None, peak_each),
            figure("spawning those of 1 page", "1/s", Higher, None, per_second),
        ],
    },
    Benchmark {
        name: "live_rust",
        run: Run::Guest(Guest::new("many_actors", &["500000", "30000"]).among(500_000)),
        peer: None,
        figures: &[
            figure("memory of one of 500,000 live Rust actors", "KiB", Lower, value(32.0), memory_each),
            figure("the most that one of those of Rust took", "KiB", Lower, None, peak_each),
            figure("spawning those of Rust", "1/s", Higher, None, per_second),
        ],
    },
];

/// For who asked for one that is not there.
pub(super) fn names() -> String {
    BENCHMARKS.iter().map(|benchmark| benchmark.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own() {
        let names: Vec<_> = BENCHMARKS.iter().flat_map(|benchmark| benchmark.figures).map(|figure| figure.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "they are found by it");
    }
}
