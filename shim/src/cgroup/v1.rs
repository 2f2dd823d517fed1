//! Metrics of cgroup version 1: times in nanoseconds, sizes in bytes.

use std::path::Path;

use containerd_shim::protos::cgroups::metrics::{
    CPUStat, CPUUsage, MemoryEntry, MemoryOomControl, MemoryStat, Metrics, PidsStat, Throttle,
};

use super::files::{keyed, number, read};
use crate::launcher::cgroup::Cgroup;

pub(super) const OOM_CONTROL: &str = "memory.oom_control";

pub(super) fn kills(cgroup: &Cgroup) -> u64 {
    cgroup.folder("memory").map_or(0, |folder| keyed(&read(folder, OOM_CONTROL), "oom_kill"))
}

pub(super) fn metrics(cgroup: &Cgroup) -> Metrics {
    let mut metrics = Metrics::new();
    if let Some(folder) = cgroup.folder("memory") {
        let text = read(folder, OOM_CONTROL);
        let control = MemoryOomControl {
            oom_kill_disable: keyed(&text, "oom_kill_disable"),
            under_oom: keyed(&text, "under_oom"),
            oom_kill: keyed(&text, "oom_kill"),
            ..MemoryOomControl::new()
        };
        metrics.set_memory_oom_control(control);
        metrics.set_memory(memory(folder));
    }
    let (cpu, cpuacct) = (cgroup.folder("cpu"), cgroup.folder("cpuacct"));
    if cpu.is_some() || cpuacct.is_some() {
        let mut stat = CPUStat::new();
        stat.set_usage(cpuacct.map(cpu_usage).unwrap_or_default());
        stat.set_throttling(cpu.map(throttle).unwrap_or_default());
        metrics.set_cpu(stat);
    }
    if let Some(folder) = cgroup.folder("pids") {
        // containerd has 0 for "no limit".
        let pids = PidsStat { current: number(folder, "pids.current"), limit: number(folder, "pids.max"), ..PidsStat::new() };
        metrics.set_pids(pids);
    }
    metrics
}

fn memory(folder: &Path) -> MemoryStat {
    let text = read(folder, "memory.stat");
    let mut memory = MemoryStat {
        cache: keyed(&text, "cache"),
        rss: keyed(&text, "rss"),
        mapped_file: keyed(&text, "mapped_file"),
        pg_fault: keyed(&text, "pgfault"),
        pg_maj_fault: keyed(&text, "pgmajfault"),
        total_cache: keyed(&text, "total_cache"),
        total_rss: keyed(&text, "total_rss"),
        total_mapped_file: keyed(&text, "total_mapped_file"),
        total_pg_fault: keyed(&text, "total_pgfault"),
        total_pg_maj_fault: keyed(&text, "total_pgmajfault"),
        total_inactive_file: keyed(&text, "total_inactive_file"),
        total_active_file: keyed(&text, "total_active_file"),
        total_inactive_anon: keyed(&text, "total_inactive_anon"),
        total_active_anon: keyed(&text, "total_active_anon"),
        hierarchical_memory_limit: keyed(&text, "hierarchical_memory_limit"),
        ..MemoryStat::new()
    };
    let entry = |kind: &str| MemoryEntry {
        usage: number(folder, &format!("memory.{kind}usage_in_bytes")),
        limit: number(folder, &format!("memory.{kind}limit_in_bytes")),
        max: number(folder, &format!("memory.{kind}max_usage_in_bytes")),
        failcnt: number(folder, &format!("memory.{kind}failcnt")),
        ..MemoryEntry::new()
    };
    memory.set_usage(entry(""));
    memory.set_swap(entry("memsw."));
    memory.set_kernel(entry("kmem."));
    memory
}

fn cpu_usage(folder: &Path) -> CPUUsage {
    // Split into user and system since Linux 4.11; in nanoseconds, unlike cpuacct.stat.
    CPUUsage {
        total: number(folder, "cpuacct.usage"),
        user: number(folder, "cpuacct.usage_user"),
        kernel: number(folder, "cpuacct.usage_sys"),
        ..CPUUsage::new()
    }
}

fn throttle(folder: &Path) -> Throttle {
    let text = read(folder, "cpu.stat");
    Throttle {
        periods: keyed(&text, "nr_periods"),
        throttled_periods: keyed(&text, "nr_throttled"),
        throttled_time: keyed(&text, "throttled_time"),
        ..Throttle::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cgroup::files::fake,
        launcher::cgroup::{Hierarchies, Hierarchy},
    };

    #[test]
    fn files_become_metrics() {
        let files = fake(&[
            ("memory.usage_in_bytes", "4096\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.stat", "cache 1\nrss 2\ntotal_rss 30\ntotal_inactive_file 40\npgfault 5\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("cpuacct.usage", "123456789\n"),
            ("cpu.stat", "nr_periods 7\nnr_throttled 2\nthrottled_time 99\n"),
            ("pids.current", "4\n"),
            ("pids.max", "max\n"),
        ]);
        let hierarchy = |controllers: &[&str]| Hierarchy {
            controllers: controllers.iter().map(ToString::to_string).collect(),
            mount: files.path().to_owned(),
        };
        let all = [&["memory"][..], &["cpu", "cpuacct"], &["pids"]].map(hierarchy).into();
        let cgroup = Cgroup::of_process(&Hierarchies::V1(all), "3:memory:/\n2:cpu,cpuacct:/\n1:pids:/\n").unwrap();
        let metrics = metrics(&cgroup);
        assert_eq!((metrics.memory.usage.usage, metrics.memory.usage.limit), (4096, 9_223_372_036_854_771_712));
        assert_eq!((metrics.memory.total_rss, metrics.memory.total_inactive_file, metrics.memory.rss), (30, 40, 2));
        assert_eq!((metrics.memory_oom_control.oom_kill, kills(&cgroup)), (3, 3));
        assert_eq!(metrics.cpu.usage.total, 123_456_789);
        assert_eq!(metrics.cpu.throttling.throttled_periods, 2);
        assert_eq!((metrics.pids.current, metrics.pids.limit), (4, 0));
    }
}
