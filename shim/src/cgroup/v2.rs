//! Metrics of cgroup version 2: times in microseconds, sizes in bytes, swap apart from memory.

use std::path::Path;

use containerd_shim::protos::cgroups_v2::metrics::{
    CPUStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PSIData, PSIStats, PidsStat,
};

use super::files::{keyed, number, read};

pub(super) const EVENTS: &str = "memory.events";

pub(super) fn kills(folder: &Path) -> u64 {
    keyed(&read(folder, EVENTS), "oom_kill")
}

pub(super) fn metrics(folder: &Path) -> Metrics {
    let mut metrics = Metrics::new();
    // containerd has 0 for "no limit" of these, and the largest number for memory.
    let pids = PidsStat { current: number(folder, "pids.current"), limit: number(folder, "pids.max"), ..PidsStat::new() };
    metrics.set_pids(pids);
    metrics.set_cpu(cpu(folder));
    metrics.set_memory(memory(folder));
    metrics.set_memory_events(events(folder));
    let mut io = IOStat { usage: read(folder, "io.stat").lines().filter_map(device).collect(), ..IOStat::new() };
    io.psi = pressure(folder, "io.pressure").into();
    metrics.set_io(io);
    metrics
}

fn cpu(folder: &Path) -> CPUStat {
    let text = read(folder, "cpu.stat");
    CPUStat {
        usage_usec: keyed(&text, "usage_usec"),
        user_usec: keyed(&text, "user_usec"),
        system_usec: keyed(&text, "system_usec"),
        nr_periods: keyed(&text, "nr_periods"),
        nr_throttled: keyed(&text, "nr_throttled"),
        throttled_usec: keyed(&text, "throttled_usec"),
        nr_bursts: keyed(&text, "nr_bursts"),
        burst_usec: keyed(&text, "burst_usec"),
        psi: pressure(folder, "cpu.pressure").into(),
        ..CPUStat::new()
    }
}

fn memory(folder: &Path) -> MemoryStat {
    let text = read(folder, "memory.stat");
    let stat = |key: &str| keyed(&text, key);
    MemoryStat {
        anon: stat("anon"),
        file: stat("file"),
        kernel_stack: stat("kernel_stack"),
        slab: stat("slab"),
        sock: stat("sock"),
        shmem: stat("shmem"),
        file_mapped: stat("file_mapped"),
        file_dirty: stat("file_dirty"),
        file_writeback: stat("file_writeback"),
        anon_thp: stat("anon_thp"),
        inactive_anon: stat("inactive_anon"),
        active_anon: stat("active_anon"),
        inactive_file: stat("inactive_file"),
        active_file: stat("active_file"),
        unevictable: stat("unevictable"),
        slab_reclaimable: stat("slab_reclaimable"),
        slab_unreclaimable: stat("slab_unreclaimable"),
        pgfault: stat("pgfault"),
        pgmajfault: stat("pgmajfault"),
        workingset_refault: stat("workingset_refault"),
        workingset_activate: stat("workingset_activate"),
        workingset_nodereclaim: stat("workingset_nodereclaim"),
        pgrefill: stat("pgrefill"),
        pgscan: stat("pgscan"),
        pgsteal: stat("pgsteal"),
        pgactivate: stat("pgactivate"),
        pgdeactivate: stat("pgdeactivate"),
        pglazyfree: stat("pglazyfree"),
        pglazyfreed: stat("pglazyfreed"),
        thp_fault_alloc: stat("thp_fault_alloc"),
        thp_collapse_alloc: stat("thp_collapse_alloc"),
        usage: number(folder, "memory.current"),
        usage_limit: limit(folder, "memory.max"),
        max_usage: number(folder, "memory.peak"),
        swap_usage: number(folder, "memory.swap.current"),
        swap_limit: limit(folder, "memory.swap.max"),
        swap_max_usage: number(folder, "memory.swap.peak"),
        psi: pressure(folder, "memory.pressure").into(),
        ..MemoryStat::new()
    }
}

fn events(folder: &Path) -> MemoryEvents {
    let text = read(folder, EVENTS);
    MemoryEvents {
        low: keyed(&text, "low"),
        high: keyed(&text, "high"),
        max: keyed(&text, "max"),
        oom: keyed(&text, "oom"),
        oom_kill: keyed(&text, "oom_kill"),
        oom_group_kill: keyed(&text, "oom_group_kill"),
        ..MemoryEvents::new()
    }
}

fn limit(folder: &Path, file: &str) -> u64 {
    match read(folder, file).trim() {
        "max" => u64::MAX,
        number => number.parse().unwrap_or(0),
    }
}

/// A line of io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn device(line: &str) -> Option<IOEntry> {
    let mut words = line.split(' ');
    let (major, minor) = words.next()?.split_once(':')?;
    let mut entry = IOEntry { major: major.parse().ok()?, minor: minor.parse().ok()?, ..IOEntry::new() };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        let value = value.parse().unwrap_or(0);
        match key {
            "rbytes" => entry.rbytes = value,
            "wbytes" => entry.wbytes = value,
            "rios" => entry.rios = value,
            "wios" => entry.wios = value,
            _ => {}
        }
    }
    Some(entry)
}

/// How long tasks waited for a resource: lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`. `None`: the kernel does not
/// say.
fn pressure(folder: &Path, file: &str) -> Option<PSIStats> {
    let text = read(folder, file);
    if text.is_empty() {
        return None;
    }
    let line = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)).unwrap_or_default();
        let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
        PSIData {
            avg10: value("avg10").parse().unwrap_or(0.0),
            avg60: value("avg60").parse().unwrap_or(0.0),
            avg300: value("avg300").parse().unwrap_or(0.0),
            total: value("total").parse().unwrap_or(0),
            ..PSIData::new()
        }
    };
    let mut stats = PSIStats::new();
    stats.set_some(line("some"));
    stats.set_full(line("full"));
    Some(stats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::files::fake;

    #[test]
    fn files_become_metrics_in_their_own_units() {
        let files = fake(&[
            (
                "cpu.stat",
                "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 7\nnr_throttled 2\nthrottled_usec 99\n",
            ),
            ("memory.current", "4096\n"),
            ("memory.max", "67108864\n"),
            ("memory.peak", "8192\n"),
            ("memory.swap.current", "1\n"),
            ("memory.swap.max", "max\n"),
            ("memory.stat", "anon 10\nfile 20\ninactive_file 5\npgfault 6\npgmajfault 7\n"),
            ("memory.events", "low 0\nhigh 0\nmax 5\noom 4\noom_kill 3\noom_group_kill 0\n"),
            (
                "memory.pressure",
                "some avg10=1.50 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=33\n",
            ),
            ("pids.current", "4\n"),
            ("pids.max", "max\n"),
            ("io.stat", "8:16 rbytes=11 wbytes=22 rios=3 wios=4 dbytes=0 dios=0\nnonsense\n"),
        ]);
        let metrics = metrics(files.path());
        assert_eq!((metrics.cpu.usage_usec, metrics.cpu.user_usec, metrics.cpu.throttled_usec), (1_500_000, 1_000_000, 99));
        let memory = &metrics.memory;
        assert_eq!((memory.usage, memory.usage_limit, memory.max_usage), (4096, 67_108_864, 8192));
        assert_eq!((memory.swap_usage, memory.swap_limit), (1, u64::MAX));
        assert_eq!((memory.anon, memory.file, memory.inactive_file, memory.pgfault, memory.pgmajfault), (10, 20, 5, 6, 7));
        assert_eq!((memory.psi.some.total, memory.psi.full.total), (77, 33));
        assert!((memory.psi.some.avg10 - 1.5).abs() < f64::EPSILON);
        assert!(metrics.cpu.psi.is_none(), "the kernel does not say");
        assert_eq!((metrics.memory_events.oom_kill, metrics.memory_events.max, kills(files.path())), (3, 5, 3));
        assert_eq!((metrics.pids.current, metrics.pids.limit), (4, 0));
        let [device] = metrics.io.usage.as_slice() else { panic!("{:?}", metrics.io) };
        assert_eq!((device.major, device.minor, device.rbytes, device.wbytes, device.rios, device.wios), (8, 16, 11, 22, 3, 4));
    }

    #[test]
    fn without_files_all_is_nothing() {
        let metrics = metrics(fake(&[]).path());
        assert_eq!((metrics.memory.usage, metrics.memory.usage_limit, metrics.cpu.usage_usec), (0, 0, 0));
    }
}
