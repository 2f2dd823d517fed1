//! Waits for the kernel to run out of a container's memory.
//!
//! Version 1 tells by an event counter that it does, a moment before it kills and counts that. Version 2 changes a file
//! once it has counted. Either way the count decides: a notification without a kill is none.
//!
//! Event counters and watchers are read as pipes are: that is the one safe way by which tokio reads any descriptor.

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::Path,
    time::Duration,
};

use rustix::fs::inotify;
use tokio::{io::AsyncReadExt, net::unix::pipe, time::sleep};

use super::{v1, v2};
use crate::launcher::{cgroup::Cgroup, sys};

/// How often the count is looked at after a notification of version 1, and the pause before each look. The kernel kills
/// at once, but whoever is killed may take a while to die, and only then it is counted.
const LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(20);

/// Calls `told` each time that `killed_more` says so, for as long as the cgroup is there.
pub(super) async fn watch(cgroup: &Cgroup, killed_more: impl Fn() -> bool, told: &mut impl FnMut()) -> io::Result<()> {
    match cgroup {
        Cgroup::V1(_) => {
            let folder = cgroup.folder("memory").ok_or_else(|| io::Error::other("there is no controller for memory"))?;
            watch_1(folder, killed_more, told).await
        }
        Cgroup::V2 { folder, .. } => watch_2(&folder.join(v2::EVENTS), killed_more, told).await,
    }
}

async fn watch_1(folder: &Path, killed_more: impl Fn() -> bool, told: &mut impl FnMut()) -> io::Result<()> {
    let counter = sys::event_counter()?;
    let control = File::open(folder.join(v1::OOM_CONTROL))?;
    fs::write(folder.join("cgroup.event_control"), format!("{} {}", counter.as_raw_fd(), control.as_raw_fd()))?;
    let mut counter = pipe::Receiver::from_owned_fd_unchecked(counter)?;
    loop {
        counter.read_u64().await?;
        for _ in 0..LOOKS {
            if killed_more() {
                told();
                break;
            }
            // The kernel notifies of the cgroup's end too.
            if !folder.exists() {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}

async fn watch_2(file: &Path, killed_more: impl Fn() -> bool, told: &mut impl FnMut()) -> io::Result<()> {
    let watcher = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&watcher, file, inotify::WatchFlags::MODIFY)?;
    // What came before the watch was there.
    if killed_more() {
        told();
    }
    let mut watcher = pipe::Receiver::from_owned_fd_unchecked(watcher)?;
    let mut events = [0; 4096];
    // What they say does not matter: it is one file.
    while file.exists() && watcher.read(&mut events).await? > 0 {
        if killed_more() {
            told();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::cgroup::{ContainerCgroup, files::fake};

    /// On a tree of plain files, which tell of changes as those of cgroups do.
    #[tokio::test]
    async fn each_kill_of_version_2_is_told_when_its_file_changes_and_once() {
        let folder = fake(&[("memory.events", "oom 0\noom_kill 0\n")]);
        let path = folder.path().to_owned();
        let cgroup = ContainerCgroup::new(Ok(Cgroup::V2 { mount: path.clone(), folder: path }));
        let told = Cell::new(0);
        let changes = async {
            // An event without a kill (such as memory.high), two kills at once, and another.
            for (text, expected) in
                [("high 1\noom_kill 0\n", 0), ("oom_kill 2\n", 1), ("high 2\noom_kill 2\n", 1), ("oom_kill 3\n", 2)]
            {
                sleep(Duration::from_millis(50)).await;
                // As the kernel does it: no moment at which the file is empty.
                let new = folder.path().join("memory.events");
                fs::OpenOptions::new()
                    .write(true)
                    .open(&new)
                    .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
                    .unwrap();
                sleep(Duration::from_millis(50)).await;
                assert_eq!(told.get(), expected, "{text}");
            }
        };
        tokio::select! {
            () = cgroup.watch(|| told.set(told.get() + 1)) => unreachable!("it watches for ever"),
            () = changes => {}
        }
        assert!(!cgroup.finish(), "nothing is left to tell");
    }
}
