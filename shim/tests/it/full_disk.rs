//! A disk without room: what cannot be done says so and leaves nothing, and works once there is room.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};

use crate::{
    cgroups,
    node::{Node, refusal},
};

const WASM: &[u8] = b"\0asm\x01\0\0\0";
const PAGE: u64 = 4096;

/// A small file system, with a folder in it that takes what room is not wanted.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        mount("perigee-it", &path, "tmpfs", MountFlags::empty(), Some(c"size=32m,nr_inodes=256,mode=0700")).unwrap();
        Self { path }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Fills it up, but for so many pages.
    fn fill(&self, free_pages: u64) {
        fs::create_dir(self.ballast()).unwrap();
        let mut file = fs::File::create(self.ballast().join("bytes")).unwrap();
        let piece = vec![1; usize::try_from(PAGE).unwrap()];
        while file.write_all(&piece).is_ok() {}
        let full = file.metadata().unwrap().len() / PAGE;
        file.set_len((full - free_pages) * PAGE).unwrap();
    }

    /// Fills it up so that not even an empty file can be made.
    fn fill_to_the_last_file(&self) {
        self.fill(0);
        let made = (0..).map(|number| fs::File::create(self.ballast().join(format!("{number}"))));
        assert!(made.take_while(Result::is_ok).count() > 0);
    }

    fn empty(&self) {
        fs::remove_dir_all(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.path, UnmountFlags::DETACH).unwrap();
    }
}

fn module(config: &mut Value, rootfs: &Path) {
    fs::write(rootfs.join("app.wasm"), WASM).unwrap();
    config["process"]["args"] = json!(["/app.wasm"]);
}

/// What there is of a container on the host: mounts, cgroups, what runc keeps.
fn left(node: &Node, id: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let bundle = node.bundle_path(id).display().to_string();
    let mounts = mounts.lines().filter(|line| line.contains(&bundle)).map(str::to_owned);
    let parents = cgroups::hierarchies().into_iter().map(|hierarchy| hierarchy.join("perigee-it"));
    let groups = parents.filter_map(|parent| fs::read_dir(parent).ok()).flatten().map(|entry| entry.unwrap().path());
    let groups = groups.map(|path| path.display().to_string()).filter(|path| path.ends_with(&format!("-{id}")));
    mounts.chain(groups).chain(node.runc_state().into_iter().filter(|known| known == id)).collect()
}

/// Makes containers with one more page of room each time, until one comes to be: so each step of making it fails once.
async fn until_there_is_room(node: &Node, disk: &Disk, name: &str, refused: &str, change: impl Fn(&mut Value, &Path)) {
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for free_pages in 0..64 {
        let id = format!("{name}-{free_pages}");
        let bundle = node.bundle(&id, &["/hello"], &change);
        let _out = bundle.hold("stdout");
        disk.fill(free_pages);
        let created = shim.create(&bundle).await;
        if created.is_ok() {
            assert!(free_pages > 0, "the disk was never full");
            shim.run(&id).await;
            assert_eq!(shim.wait(&id).await.exit_status, 0);
            shim.delete(&id).await.unwrap();
            assert_eq!(left(node, &id), Vec::<String>::new());
            return shim.end().await;
        }
        let (_, message) = refusal(created);
        assert!(message.contains(refused), "{free_pages} pages: {message}");
        assert_eq!(left(node, &id), Vec::<String>::new(), "{free_pages} pages: {message}");
        disk.empty();
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    panic!("no room is enough");
}

#[tokio::test]
async fn a_bundle_without_room_is_refused_until_there_is_some() {
    for (name, wasm) in [("full-native", false), ("full-wasm", true)] {
        let node = Node::new().await;
        let disk = Disk::mount(node.path().join("bundles"));
        until_there_is_room(&node, &disk, name, "o space left on device", |config, rootfs| {
            if wasm {
                module(config, rootfs)
            }
        })
        .await;
    }
}

#[tokio::test]
async fn without_room_for_what_runc_keeps_a_container_is_refused() {
    let node = Node::new().await;
    let disk = Disk::mount(node.path().join("runc"));
    // Its own words are not always about the disk.
    until_there_is_room(&node, &disk, "full-state", "runc create failed", |_, _| {}).await;
}

#[tokio::test]
async fn a_container_that_runs_is_ended_and_removed_on_a_full_disk() {
    for (id, wasm) in [("full-later", false), ("full-later-wasm", true)] {
        let node = Node::new().await;
        let disk = Disk::mount(node.path().join("bundles"));
        let bundle = node.bundle(id, &["/hello", "sleep"], |config, rootfs| {
            if wasm {
                module(config, rootfs);
                config["process"]["env"] = json!(["STAY=1"]);
            }
        });
        let _out = bundle.hold("stdout");
        let shim = node.start(&bundle).await;
        shim.create(&bundle).await.unwrap();
        shim.run(id).await;
        disk.fill_to_the_last_file();
        let (_, message) = refusal(shim.update(id, &json!({ "cpu": { "shares": 100 } })).await);
        assert!(message.contains("o space left on device"), "{message}");
        disk.empty();
        shim.update(id, &json!({ "cpu": { "shares": 100 } })).await.unwrap();
        disk.fill_to_the_last_file();
        shim.kill(id, 9).await.unwrap();
        assert_eq!(shim.wait(id).await.exit_status, 137);
        shim.delete(id).await.unwrap();
        shim.end().await;
        assert_eq!(node.runc_state(), Vec::<String>::new());
        // `delete` after a shim that died has the same disk.
        assert!(node.call(&bundle, "delete").status.success());
    }
}

/// The cache saves time; without room for it, the worker does what it would save.
#[tokio::test]
async fn a_full_cache_of_code_costs_nobody_their_container() {
    let node = Node::new().await;
    let disk = Disk::mount(node.code_cache());
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for (id, free_pages, with_code) in [("full-code", 0, false), ("room-for-code", 64, true)] {
        disk.fill(free_pages);
        let bundle = node.bundle(id, &[], module);
        let _out = bundle.hold("stdout");
        shim.create(&bundle).await.unwrap();
        shim.run(id).await;
        assert_eq!(shim.wait(id).await.exit_status, 0);
        let output = bundle.expect("stdout", "written").await;
        assert_eq!(output.contains("--code"), with_code, "{output}");
        shim.delete(id).await.unwrap();
        let left: Vec<_> = fs::read_dir(node.code_cache()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("new-")), "{left:?}");
        disk.empty();
    }
    shim.end().await;
}
