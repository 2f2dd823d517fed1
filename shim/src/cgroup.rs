//! What a container uses: metrics in the form of the host's cgroup version, and the moments at which memory ran out.
//!
//! The form matters beyond this container: one message of the wrong type makes the kubelet lose the statistics of the
//! whole node. containerd also asks after the exit, to see whether the kernel ran out of memory, so the last metrics are
//! kept.

mod files;
mod memory_watch;
mod v1;
mod v2;

use std::{
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use containerd_shim::protos::protobuf::well_known_types::any::Any;

use crate::{
    any,
    error::ShimError,
    launcher::cgroup::{Cgroup, Hierarchies},
};

/// A container's cgroup.
pub(crate) struct ContainerCgroup {
    /// Or why it is not known: the process was gone before it could be looked up.
    cgroup: Result<Cgroup, String>,
    /// Metrics at the exit.
    last: Mutex<Option<Any>>,
    /// Kills for want of memory that were told, or were there before the container.
    told: AtomicU64,
}

impl ContainerCgroup {
    /// Looks it up while the process lives: afterwards, /proc does not tell.
    pub(crate) fn of_process(pid: i32) -> Self {
        let look_up = || {
            let process = fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(|error| error.to_string())?;
            let hierarchies = Hierarchies::of_host().map_err(|error| error.to_string())?;
            Cgroup::of_process(&hierarchies, &process).ok_or_else(|| "the host mounts no cgroups".to_owned())
        };
        Self::new(look_up())
    }

    fn new(cgroup: Result<Cgroup, String>) -> Self {
        let own = Self { cgroup, last: Mutex::default(), told: AtomicU64::new(0) };
        own.told.store(own.kills(), Ordering::Relaxed);
        own
    }

    /// Metrics now, or those of the exit.
    pub(crate) fn metrics(&self) -> Result<Any, ShimError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.map_or_else(|| self.read(), Ok)
    }

    /// Keeps the metrics of the exit. Whether the kernel killed a process of the container that nobody was told of.
    pub(crate) fn finish(&self) -> bool {
        match self.read() {
            Ok(metrics) => *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(metrics),
            Err(error) => log::warn!("no metrics at the exit: {error}"),
        }
        self.killed_more()
    }

    /// Calls back each time that the kernel has killed processes for want of memory, for as long as this is polled.
    pub(crate) async fn watch(&self, mut killed: impl FnMut()) {
        let Ok(cgroup) = &self.cgroup else { return std::future::pending().await };
        if let Err(error) = memory_watch::watch(cgroup, || self.killed_more(), &mut killed).await {
            log::warn!("that memory runs out is told with the container's end only: {error}");
        }
        std::future::pending().await
    }

    /// Whether there were kills since this was asked last.
    fn killed_more(&self) -> bool {
        let kills = self.kills();
        self.told.fetch_max(kills, Ordering::Relaxed) < kills
    }

    /// Processes that the kernel killed because memory had run out.
    fn kills(&self) -> u64 {
        match &self.cgroup {
            Ok(cgroup @ Cgroup::V1(_)) => v1::kills(cgroup),
            Ok(Cgroup::V2 { folder, .. }) => v2::kills(folder),
            Err(_) => 0,
        }
    }

    fn read(&self) -> Result<Any, ShimError> {
        let message = match &self.cgroup {
            Ok(cgroup @ Cgroup::V1(_)) => any::pack(&v1::metrics(cgroup)),
            Ok(Cgroup::V2 { folder, .. }) => any::pack(&v2::metrics(folder)),
            Err(reason) => return Err(ShimError::NoMetrics(reason.clone())),
        };
        message.map_err(ShimError::library("metrics"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn unified(folder: &Path) -> ContainerCgroup {
        ContainerCgroup::new(Ok(Cgroup::V2 { mount: folder.to_owned(), folder: folder.to_owned() }))
    }

    #[test]
    fn the_metrics_of_the_exit_outlive_the_cgroup() {
        let folder = files::fake(&[("memory.events", "oom_kill 0\n"), ("memory.current", "8\n")]);
        let cgroup = unified(folder.path());
        let before = cgroup.metrics().unwrap();
        assert_eq!(before.type_url, "io.containerd.cgroups.v2.Metrics");
        assert!(!cgroup.finish());
        drop(folder);
        assert_eq!(cgroup.metrics().unwrap(), before);
    }

    #[test]
    fn a_kill_is_told_once_and_those_of_before_are_not() {
        let folder = files::fake(&[("memory.events", "oom 1\noom_kill 1\n")]);
        let cgroup = unified(folder.path());
        assert!(!cgroup.killed_more());
        fs::write(folder.path().join("memory.events"), "oom 4\noom_kill 3\n").unwrap();
        assert!(cgroup.killed_more());
        assert!(!cgroup.finish());
    }

    #[test]
    fn a_process_that_is_gone_has_no_metrics_and_says_why() {
        let error = ContainerCgroup::of_process(i32::MAX).metrics().unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
