//! Guests in WebAssembly, on all that a node has: `chaos` does at random what an actor can do.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use perigee_runtime::{Capacity, Class, Engine, HostValues, InUse, MountedFolder, Node, Output};
use perigee_spec::{ActorClass, AppSpec};
use tokio::task::JoinSet;

use crate::ROUND;

/// Actors that are started anew as long as a round lasts, and how many each may have below it.
const ROOTS: u32 = 20;
const BELOW: u32 = 20;
/// All of them.
pub(crate) const ACTORS: usize = (ROOTS * (BELOW + 1)) as usize;
/// How long what actors left to other threads may take: a database that is stopped, a module that is compiled.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Guests {
    node: Arc<Node>,
    /// Open files of the process when nobody is alive, as of the first round: SQLite and Wasmtime open some of their own.
    files: OnceLock<usize>,
    _folder: tempfile::TempDir,
}

impl Guests {
    pub(crate) fn prepare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut class = ActorClass::new("chaos".parse().unwrap());
        class.instances = ROOTS;
        (class.limits.memory.0, class.limits.mailbox.0, class.limits.actors) = (2 << 20, 16 << 10, BELOW);
        class.permissions.spawn.push(class.name.clone());
        class.permissions.network.listen.push("127.0.0.1:0".parse().unwrap());
        class.permissions.network.connect.push("127.0.0.1:*".parse().unwrap());
        (class.permissions.compile, class.permissions.configure) = (true, true);
        let app = AppSpec::new("soak", vec![class.clone()], "soak").unwrap();
        let engine = Engine::new(Capacity::for_app(&app)).unwrap();
        let program = engine.compile("chaos.wasm", &module()).unwrap();
        let host = HostValues { folders: vec![MountedFolder::new("/data", folder.path(), false)], ..HostValues::default() };
        let sink = |name| Output::new(name, std::io::sink()).unwrap();
        let node = Node::new(engine, vec![Class::prepare(class, program, &host).unwrap()], sink("out"), sink("err"));
        Self { node, files: OnceLock::new(), _folder: folder }
    }

    /// Returns the id of the last actor.
    pub(crate) async fn round(&self) -> u64 {
        let stop = Instant::now() + ROUND;
        let mut roots = JoinSet::new();
        for _ in 0..ROOTS {
            let node = Arc::clone(&self.node);
            roots.spawn(async move {
                let mut last = 0;
                while Instant::now() < stop {
                    match node.run("chaos").await {
                        Ok(exit) => last = last.max(exit.id.0),
                        // What the pool has room for is alive.
                        Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
                last
            });
        }
        tokio::time::sleep_until(stop.into()).await;
        self.node.system().kill_all().await;
        let last = roots.join_all().await.into_iter().max();
        self.expect_nothing().await;
        last.unwrap_or_default()
    }

    async fn expect_nothing(&self) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && !self.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(self.node.system().is_empty(), "actors, names or timers are left");
        assert_eq!(self.node.in_use(), InUse::default(), "is left");
        let files = self.files().await;
        assert_eq!(open_files(), files, "files and sockets are open");
    }

    async fn files(&self) -> usize {
        while self.files.get().is_none() {
            // What ended last may still be closing some.
            let files = open_files();
            tokio::time::sleep(ROUND).await;
            if files == open_files() {
                self.files.get_or_init(|| files);
            }
        }
        *self.files.get().unwrap()
    }

    fn is_empty(&self) -> bool {
        self.node.system().is_empty()
            && self.node.in_use() == InUse::default()
            && self.files.get().is_none_or(|files| open_files() == *files)
    }
}

/// Of this process; each look opens one more for a moment.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn module() -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let path = target.join("guests/chaos.wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `make guests`", path.display()))
}
