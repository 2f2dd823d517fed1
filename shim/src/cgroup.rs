//! What a container uses: metrics in the form of the host's cgroup version.
//!
//! The form matters beyond this container: one message of the wrong type makes the kubelet lose the statistics of the
//! whole node. Version 2 is read by `containerd-shim`; version 1 here, because its helper leaves out CPU time.
//! containerd also asks after the exit, to see whether the kernel ran out of memory, so the last metrics are kept.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cgroups_rs::fs::{Cgroup, Controller, Subsystem, hierarchies};
use containerd_shim::{
    cgroup::{collect_metrics_v2, get_cgroup},
    protos::{
        cgroups::metrics::{CPUStat, CPUUsage, MemoryEntry, MemoryOomControl, MemoryStat, Metrics, PidsStat, Throttle},
        protobuf::well_known_types::any::Any,
    },
    util::convert_to_any,
};

use crate::error::ShimError;

/// A container's cgroup.
pub(crate) struct ContainerCgroup {
    files: Files,
    /// Metrics at the exit.
    last: Mutex<Option<Sample>>,
}

enum Files {
    V1(V1),
    V2(Cgroup),
    /// The process was gone before its cgroup could be looked up.
    Unknown(String),
}

/// Folders of one container in the hierarchies of cgroup version 1. Absent where the host has none.
#[derive(Debug, Default)]
struct V1 {
    memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
    cpuacct: Option<PathBuf>,
    pids: Option<PathBuf>,
}

/// Metrics at one moment.
#[derive(Clone)]
struct Sample {
    message: Any,
    /// Processes that the kernel killed because memory had run out.
    oom_kills: u64,
}

impl ContainerCgroup {
    /// Looks it up while the process lives: afterwards, /proc does not tell.
    pub(crate) fn of_process(pid: i32) -> Self {
        let files = match get_cgroup(pid.unsigned_abs()) {
            Err(error) => Files::Unknown(error.to_string()),
            Ok(cgroup) if hierarchies::auto().v2() => Files::V2(cgroup),
            Ok(cgroup) => Files::V1(V1::of(&cgroup)),
        };
        Self { files, last: Mutex::new(None) }
    }

    /// Metrics now, or those of the exit.
    pub(crate) fn metrics(&self) -> Result<Any, ShimError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last {
            Some(sample) => Ok(sample.message),
            None => Ok(self.sample()?.message),
        }
    }

    /// Keeps the metrics of the exit. Whether the kernel killed a process of the container for want of memory.
    pub(crate) fn finish(&self) -> bool {
        match self.sample() {
            Ok(sample) => {
                let out_of_memory = sample.oom_kills > 0;
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
                out_of_memory
            }
            Err(error) => {
                log::warn!("no metrics at the exit: {error}");
                false
            }
        }
    }

    fn sample(&self) -> Result<Sample, ShimError> {
        match &self.files {
            Files::V1(files) => {
                let metrics = files.metrics();
                let oom_kills = metrics.memory_oom_control.oom_kill;
                let message = convert_to_any(Box::new(metrics)).map_err(ShimError::library("metrics"))?;
                Ok(Sample { message, oom_kills })
            }
            Files::V2(cgroup) => {
                let metrics = collect_metrics_v2(cgroup).map_err(ShimError::library("metrics"))?;
                let oom_kills = metrics.memory_events.oom_kill;
                let message = convert_to_any(Box::new(metrics)).map_err(ShimError::library("metrics"))?;
                Ok(Sample { message, oom_kills })
            }
            Files::Unknown(reason) => Err(ShimError::NoMetrics(reason.clone())),
        }
    }
}

impl V1 {
    fn of(cgroup: &Cgroup) -> Self {
        let mut files = Self::default();
        for subsystem in cgroup.subsystems() {
            match subsystem {
                Subsystem::Mem(controller) => files.memory = Some(controller.path().to_owned()),
                Subsystem::Cpu(controller) => files.cpu = Some(controller.path().to_owned()),
                Subsystem::CpuAcct(controller) => files.cpuacct = Some(controller.path().to_owned()),
                Subsystem::Pid(controller) => files.pids = Some(controller.path().to_owned()),
                _ => {}
            }
        }
        files
    }

    /// Times in nanoseconds, sizes in bytes. What cannot be read is 0.
    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::new();
        if let Some(folder) = &self.memory {
            let text = read(folder, "memory.oom_control");
            let control = MemoryOomControl {
                oom_kill_disable: keyed(&text, "oom_kill_disable"),
                under_oom: keyed(&text, "under_oom"),
                oom_kill: keyed(&text, "oom_kill"),
                ..MemoryOomControl::new()
            };
            metrics.set_memory_oom_control(control);
            metrics.set_memory(memory(folder));
        }
        if self.cpu.is_some() || self.cpuacct.is_some() {
            let mut cpu = CPUStat::new();
            cpu.set_usage(self.cpuacct.as_deref().map(cpu_usage).unwrap_or_default());
            cpu.set_throttling(self.cpu.as_deref().map(throttle).unwrap_or_default());
            metrics.set_cpu(cpu);
        }
        if let Some(folder) = &self.pids {
            let pids = PidsStat { current: number(folder, "pids.current"), limit: number(folder, "pids.max"), ..PidsStat::new() };
            metrics.set_pids(pids);
        }
        metrics
    }
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

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_default()
}

/// A file with one number. `max` is no number, and containerd's message has 0 for "no limit".
fn number(folder: &Path, file: &str) -> u64 {
    read(folder, file).trim().parse().unwrap_or(0)
}

fn keyed(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn version_1_files_become_its_metrics() {
        let files = folder(&[
            ("memory.usage_in_bytes", "4096\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.stat", "cache 1\nrss 2\ntotal_rss 30\ntotal_inactive_file 40\npgfault 5\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("cpuacct.usage", "123456789\n"),
            ("cpu.stat", "nr_periods 7\nnr_throttled 2\nthrottled_time 99\n"),
            ("pids.current", "4\n"),
            ("pids.max", "max\n"),
        ]);
        let path = Some(files.path().to_owned());
        let metrics = V1 { memory: path.clone(), cpu: path.clone(), cpuacct: path.clone(), pids: path }.metrics();
        assert_eq!((metrics.memory.usage.usage, metrics.memory.usage.limit), (4096, 9_223_372_036_854_771_712));
        assert_eq!((metrics.memory.total_rss, metrics.memory.total_inactive_file, metrics.memory.rss), (30, 40, 2));
        assert_eq!(metrics.memory_oom_control.oom_kill, 3);
        assert_eq!(metrics.cpu.usage.total, 123_456_789);
        assert_eq!(metrics.cpu.throttling.throttled_periods, 2);
        assert_eq!((metrics.pids.current, metrics.pids.limit), (4, 0));
    }

    #[test]
    fn the_metrics_of_the_exit_outlive_the_cgroup() {
        let files = folder(&[("memory.oom_control", "oom_kill 1\n"), ("memory.usage_in_bytes", "8\n")]);
        let v1 = V1 { memory: Some(files.path().to_owned()), ..V1::default() };
        let cgroup = ContainerCgroup { files: Files::V1(v1), last: Mutex::new(None) };
        let before = cgroup.metrics().unwrap();
        assert_eq!(before.type_url, "io.containerd.cgroups.v1.Metrics");
        assert!(cgroup.finish(), "the kernel ran out of memory");
        drop(files);
        assert_eq!(cgroup.metrics().unwrap(), before);
    }
}
