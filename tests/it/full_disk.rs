//! A node whose disk is full: its pods say so, and run as soon as there is room.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use perigee_e2e::cluster::output_of;
use perigee_e2e::ns::alone_with_perigee;
use perigee_e2e::objects::wasm_pod;
use perigee_e2e::{images, node};

/// Where containerd makes the folders of containers, which the shim writes into.
const BUNDLES: &str = "containerd/state/io.containerd.runtime.v2.task/k8s.io";
const PAGE: u64 = 4096;

/// A small file system in the place of a folder.
struct Disk {
    path: PathBuf,
    /// What fills it up. It has no name: kubelet removes from the folder of logs whatever is no log of a pod that it knows.
    ballast: Option<File>,
}

impl Disk {
    fn mount(path: PathBuf) -> Result<Self> {
        output_of(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=0711", "perigee-test"]).arg(&path))?;
        Ok(Self { path, ballast: None })
    }

    /// Fills it up, but for so many pages.
    fn fill(&mut self, free_pages: u64) -> Result<()> {
        let name = self.path.join("ballast");
        let mut file = File::create(&name)?;
        fs::remove_file(name)?;
        let piece = vec![1; usize::try_from(PAGE)?];
        while file.write_all(&piece).is_ok() {}
        let full = file.metadata()?.len() / PAGE;
        file.set_len(full.checked_sub(free_pages).context("there was less room")? * PAGE)?;
        self.ballast = Some(file);
        Ok(())
    }

    fn empty(&mut self) {
        self.ballast = None;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What else could be done about a failure would be done by down.sh.
        drop(Command::new("umount").arg("--lazy").arg(&self.path).status());
    }
}

#[test]
fn pods_on_a_full_disk_say_so_and_run_when_there_is_room() -> Result<()> {
    alone_with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        // The folders of pods that run already are below it, and needed by nobody meanwhile.
        let mut disk = Disk::mount(namespace.cluster.folder().join(BUNDLES))?;
        let before = node::snapshot(namespace.cluster)?;
        // First containerd has no room for the sandbox, then the shim has none in the middle of its work.
        for free_pages in [0, 6, 10] {
            disk.fill(free_pages)?;
            let name = format!("full-{free_pages}");
            let mut pod = wasm_pod(&name, &image, &["/hello.wasm"]);
            pod["spec"]["restartPolicy"] = "OnFailure".into();
            namespace.apply(&pod)?;
            namespace.wait_for_event(&name, "no space left on device")?;
            disk.empty();
            namespace.wait_for_phase(&name, "Succeeded")?;
            let log = namespace.logs(&name)?;
            ensure!(log.contains("hello"), "{log}");
            namespace.kubectl(&["delete", "pod", &name])?;
        }
        node::wait_until_clean(namespace.cluster, &before)
    })
}

/// containerd goes on reading what it cannot write: lines are lost, and nobody is held up.
#[test]
fn pods_run_to_their_end_when_there_is_no_room_for_their_logs() -> Result<()> {
    alone_with_perigee(|namespace| {
        let image = images::guests(namespace.cluster)?;
        let mut disk = Disk::mount(namespace.cluster.folder().join("pod-logs"))?;
        let before = node::snapshot(namespace.cluster)?;
        // More than all that lies between an actor and its log.
        let talks = |name: &str| wasm_pod(name, &image, &["/talk.wasm", "10", "10000"]);
        disk.fill(0)?;
        namespace.apply(&talks("unheard"))?;
        namespace.wait_for_phase("unheard", "Succeeded")?;
        let log = namespace.logs("unheard")?;
        ensure!(!log.contains("done"), "the disk was not full: {log}");
        disk.empty();
        namespace.apply(&wasm_pod("heard", &image, &["/talk.wasm", "1", "10"]))?;
        namespace.wait_for_log("heard", "done")?;
        namespace.kubectl(&["delete", "pods", "--all"])?;
        node::wait_until_clean(namespace.cluster, &before)
    })
}
