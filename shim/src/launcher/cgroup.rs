//! A container's cgroup: made with its limits, joined, frozen, emptied, removed.
//!
//! In version 1 that is a folder in each hierarchy. It is joined by its file `tasks`, for writing to `cgroup.procs` makes
//! the kernel wait for a grace period of 9 to 14 ms. In version 2 the process is born in it instead.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{CWD, Mode, OFlags, openat};
use tokio::time::{Instant, sleep};

use super::{
    device_program,
    devices::DeviceRules,
    failure::{Failure, failed},
    plan::Unsupported,
    resources::{self, Setting},
    spec::Resources,
    sys,
};

/// For killed processes to be gone, and for a cgroup to freeze. Both take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Cgroups below one another in a container's that are looked at.
const MAX_DEPTH: usize = 16;

/// The host's hierarchies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hierarchies {
    V1(Vec<Hierarchy>),
    V2(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// As in /proc/self/cgroup: `cpu`, `cpuacct`, `name=systemd`; none of version 2's own.
    pub(crate) controllers: Vec<String>,
    pub(crate) mount: PathBuf,
}

impl Hierarchies {
    pub(crate) fn of_host() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?, &fs::read_to_string("/proc/self/cgroup")?))
    }

    pub(crate) fn parse(mountinfo: &str, cgroups: &str) -> Self {
        let mounts: Vec<CgroupMount<'_>> = mountinfo.lines().filter_map(CgroupMount::parse).collect();
        let lists = cgroups.lines().filter_map(|line| line.split(':').nth(1)).filter(|list| !list.is_empty());
        let hierarchies: Vec<Hierarchy> = lists
            .filter_map(|list| {
                let controllers: Vec<String> = list.split(',').map(str::to_owned).collect();
                let has_all = |mount: &&CgroupMount<'_>| controllers.iter().all(|one| mount.options.contains(&one.as_str()));
                let mount = mounts.iter().filter(|mount| mount.kind == "cgroup").find(has_all)?;
                Some(Hierarchy { controllers, mount: mount.point.into() })
            })
            .collect();
        let unified = mounts.iter().find(|mount| mount.kind == "cgroup2");
        match unified {
            Some(unified) if hierarchies.is_empty() => Self::V2(unified.point.into()),
            unified => {
                // Beside version 1 it has no controllers, but shows which processes belong together.
                let unified = unified.map(|mount| Hierarchy { controllers: Vec::new(), mount: mount.point.into() });
                Self::V1(hierarchies.into_iter().chain(unified).collect())
            }
        }
    }
}

struct CgroupMount<'a> {
    kind: &'a str,
    point: &'a str,
    options: Vec<&'a str>,
}

impl<'a> CgroupMount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        let kind = file_system.next().filter(|kind| matches!(*kind, "cgroup" | "cgroup2"))?;
        let options = file_system.nth(1)?.split(',').collect();
        // Below a part of a hierarchy, absolute paths mean something else.
        (root == "/").then_some(Self { kind, point, options })
    }
}

/// One container's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cgroup {
    V1(Vec<Folder>),
    V2 { mount: PathBuf, folder: PathBuf },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(super) hierarchy: Hierarchy,
    pub(super) path: PathBuf,
}

impl Cgroup {
    /// `path` is absolute and normal.
    pub(super) fn new(hierarchies: &Hierarchies, path: &str) -> Self {
        let below = |mount: &Path| mount.join(path.trim_start_matches('/'));
        match hierarchies {
            Hierarchies::V2(mount) => Self::V2 { mount: mount.clone(), folder: below(mount) },
            Hierarchies::V1(all) => {
                Self::V1(all.iter().map(|one| Folder { hierarchy: one.clone(), path: below(&one.mount) }).collect())
            }
        }
    }

    /// That of a process, by its /proc/PID/cgroup. Hierarchies that it says nothing of are left out.
    pub(crate) fn of_process(hierarchies: &Hierarchies, cgroups: &str) -> Option<Self> {
        let lines = || cgroups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let within = |mount: &Path, path: &str| mount.join(path.trim_start_matches('/'));
        let path_in = |controllers: &[String]| {
            let listed = controllers.join(",");
            lines().find(|(list, _)| *list == listed).map(|(_, path)| path)
        };
        match hierarchies {
            Hierarchies::V2(mount) => {
                let path = path_in(&[])?;
                Some(Self::V2 { mount: mount.clone(), folder: within(mount, path) })
            }
            Hierarchies::V1(all) => {
                let folder = |one: &Hierarchy| {
                    let path = path_in(&one.controllers)?;
                    Some(Folder { hierarchy: one.clone(), path: within(&one.mount, path) })
                };
                let folders: Vec<_> = all.iter().filter_map(folder).collect();
                (!folders.is_empty()).then_some(Self::V1(folders))
            }
        }
    }

    /// Whether the launcher can make it here.
    pub(super) fn check(&self, resources: &Resources) -> Result<(), Unsupported> {
        match self {
            Self::V2 { .. } => Ok(()),
            Self::V1(_) if !resources.unified.is_empty() => {
                Err(Unsupported::new("resources.unified with cgroup version 1".to_owned()))
            }
            Self::V1(folders) if !folders.iter().any(|folder| folder.has("devices")) => {
                Err(Unsupported::new("a host without the controller for devices".to_owned()))
            }
            Self::V1(_) => Ok(()),
        }
    }

    /// The container's folders, of which some may not exist.
    pub(super) fn folders(&self) -> Vec<&Path> {
        match self {
            Self::V1(folders) => folders.iter().map(|folder| folder.path.as_path()).collect(),
            Self::V2 { folder, .. } => vec![folder],
        }
    }

    /// Makes it, with its limits. It must not have processes yet.
    pub(super) fn create(&self, devices: &DeviceRules, resources: &Resources) -> Result<(), Failure> {
        match self {
            Self::V1(folders) => folders.iter().try_for_each(Folder::create)?,
            Self::V2 { mount, folder } => create_2(mount, folder)?,
        }
        if let Some(pid) = self.processes().first() {
            let occupied = io::Error::other(format!("process {pid} is in it"));
            return Err(failed(format!("the cgroup {} is not empty", self.folders()[0].display()))(occupied));
        }
        self.set_devices(devices)?;
        self.update(resources)
    }

    /// Changes limits.
    pub(super) fn update(&self, resources: &Resources) -> Result<(), Failure> {
        let settings = match self {
            Self::V1(_) => resources::version_1(resources, self.memory_limit()),
            Self::V2 { .. } => resources::version_2(resources),
        };
        settings.iter().try_for_each(|setting| self.set(setting))
    }

    fn memory_limit(&self) -> u64 {
        let file = self.folder("memory").map(|folder| folder.join("memory.limit_in_bytes"));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        text.trim().parse().unwrap_or(u64::MAX)
    }

    fn set(&self, setting: &Setting) -> Result<(), Failure> {
        let doing = || format!("cannot set {} of the container's cgroup to {}", setting.file, setting.value);
        let folder = self.folder(setting.controller).ok_or_else(|| {
            failed(doing())(io::Error::other(format!("this host has no cgroup controller {}", setting.controller)))
        })?;
        match fs::write(folder.join(&setting.file), &setting.value) {
            // A kernel that does not account for swap has none to limit.
            Err(error)
                if setting.file == resources::SWAP_2
                    && matches!(setting.value.as_str(), "0" | "max")
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
            {
                Ok(())
            }
            set => set.map_err(|error| failed(doing())(error)),
        }
    }

    fn set_devices(&self, rules: &DeviceRules) -> Result<(), Failure> {
        let Some(folder) = self.folder("devices") else { return Ok(()) };
        if let Self::V2 { .. } = self {
            let attached = device_program::attach(folder, rules);
            return attached.map_err(failed("cannot give the container's cgroup its rules for devices"));
        }
        let write = |file: &str, rule: String| {
            let doing = format!("cannot write {rule:?} to {file} of the container's cgroup");
            fs::write(folder.join(file), rule).map_err(failed(doing))
        };
        match rules {
            DeviceRules::All => write("devices.allow", "a".to_owned()),
            DeviceRules::Only(allowed) => {
                write("devices.deny", "a".to_owned())?;
                allowed.iter().try_for_each(|one| {
                    write("devices.allow", format!("{} {}:{} {}", one.kind, one.major, one.minor, one.access))
                })
            }
        }
    }

    /// Where the files of a controller are.
    pub(crate) fn folder(&self, controller: &str) -> Option<&Path> {
        match self {
            Self::V1(folders) => folders.iter().find(|folder| folder.has(controller)).map(|folder| folder.path.as_path()),
            Self::V2 { folder, .. } => Some(folder),
        }
    }

    /// Moves the calling process, of one thread, into it. For version 2 see [`Self::birthplace`].
    pub(super) fn join(&self) -> Result<(), Failure> {
        let Self::V1(folders) = self else { return Ok(()) };
        folders.iter().filter(|folder| !folder.is_unified()).try_for_each(|folder| {
            let tasks = folder.path.join("tasks");
            fs::write(&tasks, "0").map_err(failed(format!("cannot join the cgroup by {}", tasks.display())))
        })
    }

    /// Of version 2's hierarchy, the folder that a process is to be forked into.
    pub(super) fn birthplace(&self) -> Result<Option<OwnedFd>, Failure> {
        let unified = match self {
            Self::V1(folders) => folders.iter().find(|folder| folder.is_unified()).map(|folder| &folder.path),
            Self::V2 { folder, .. } => Some(folder),
        };
        let Some(folder) = unified else { return Ok(None) };
        let opened = openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        opened.map(Some).map_err(failed(format!("cannot open the cgroup {}", folder.display())))
    }

    /// All processes in it, in the cgroups below it too.
    pub(super) fn processes(&self) -> Vec<i32> {
        let folder = match self {
            Self::V1(_) => ["pids", "freezer", "memory", "devices"].into_iter().find_map(|name| self.folder(name)),
            Self::V2 { folder, .. } => Some(folder.as_path()),
        };
        let mut pids = Vec::new();
        if let Some(folder) = folder {
            for folder in tree(folder, MAX_DEPTH) {
                let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            }
        }
        pids
    }

    /// Sends a signal to all its processes.
    pub(super) fn signal(&self, signal: i32) -> Result<(), Failure> {
        for pid in self.processes() {
            match sys::kill(pid, signal) {
                // It ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                sent => sent.map_err(failed(format!("cannot send signal {signal} to process {pid}")))?,
            }
        }
        Ok(())
    }

    /// Stops all its processes, or lets them go on.
    pub(super) async fn freeze(&self, frozen: bool) -> Result<(), Failure> {
        let (file, wanted, status, told) = match (self, frozen) {
            (Self::V1(_), true) => ("freezer.state", "FROZEN", "freezer.state", "FROZEN"),
            (Self::V1(_), false) => ("freezer.state", "THAWED", "freezer.state", "THAWED"),
            (Self::V2 { .. }, true) => ("cgroup.freeze", "1", "cgroup.events", "frozen 1"),
            (Self::V2 { .. }, false) => ("cgroup.freeze", "0", "cgroup.events", "frozen 0"),
        };
        let doing = || format!("cannot write {wanted} to {file} of the container's cgroup");
        let folder = self.folder("freezer").ok_or_else(|| failed(doing())(io::Error::from(io::ErrorKind::NotFound)))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Again each time: processes that were forked meanwhile can keep version 1 from getting there.
            fs::write(folder.join(file), wanted).map_err(|error| failed(doing())(error))?;
            let state = fs::read_to_string(folder.join(status)).map_err(|error| failed(doing())(error))?;
            if state.lines().any(|line| line == told) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(failed(doing())(io::Error::from(io::ErrorKind::TimedOut)));
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Kills what is in it, frozen or not, and removes it. One that does not exist is removed already.
    pub(super) async fn remove(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(500);
        loop {
            let left = !self.processes().is_empty();
            if left {
                self.signal(libc::SIGKILL)?;
                // Frozen ones take no signal. That it cannot be thawed shows below.
                self.freeze(false).await.unwrap_or_default();
            }
            let removed = self.folders().into_iter().map(remove_tree).fold(Ok(()), io::Result::and);
            match removed {
                Ok(()) if !left => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(failed("cannot remove the container's cgroup".to_owned())(error));
                }
                _ => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

impl Folder {
    pub(super) fn is_unified(&self) -> bool {
        self.hierarchy.controllers.is_empty()
    }

    fn has(&self, controller: &str) -> bool {
        self.hierarchy.controllers.iter().any(|one| one == controller)
    }

    fn create(&self) -> Result<(), Failure> {
        let doing = || format!("cannot make the cgroup {}", self.path.display());
        if !self.has("cpuset") {
            return fs::create_dir_all(&self.path).map_err(|error| failed(doing())(error));
        }
        // A new cpuset has no processors, and nobody may join it.
        let below = self.path.strip_prefix(&self.hierarchy.mount).unwrap_or(&self.path);
        let mut parent = self.hierarchy.mount.clone();
        for part in below {
            let folder = parent.join(part);
            let make = || {
                fs::create_dir_all(&folder)?;
                ["cpuset.cpus", "cpuset.mems"].iter().try_for_each(|file| inherit(&parent, &folder, file))
            };
            make().map_err(|error| failed(doing())(error))?;
            parent = folder;
        }
        Ok(())
    }
}

fn inherit(parent: &Path, folder: &Path, file: &str) -> io::Result<()> {
    if fs::read_to_string(folder.join(file))?.trim().is_empty() {
        fs::write(folder.join(file), fs::read_to_string(parent.join(file))?.trim())?;
    }
    Ok(())
}

/// Makes a folder of version 2, with every controller of the host in it.
fn create_2(mount: &Path, folder: &Path) -> Result<(), Failure> {
    let doing = || format!("cannot make the cgroup {}", folder.display());
    let controllers = fs::read_to_string(mount.join("cgroup.controllers")).map_err(|error| failed(doing())(error))?;
    let below = folder.strip_prefix(mount).unwrap_or(folder);
    let mut parent = mount.to_owned();
    for part in below {
        for controller in controllers.split_whitespace() {
            // One that the parent does not hand on is missed when a limit needs it, and named then.
            fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}")).unwrap_or_default();
        }
        parent = parent.join(part);
        fs::create_dir_all(&parent).map_err(|error| failed(doing())(error))?;
    }
    Ok(())
}

/// The folder and those below it, each after those below it.
fn tree(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut all = Vec::new();
    if depth > 0 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            all.extend(tree(&entry.path(), depth - 1));
        }
    }
    all.push(folder.to_owned());
    all
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    tree(folder, MAX_DEPTH).iter().try_for_each(|folder| match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
30 25 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
31 25 0:31 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
32 25 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 25 0:33 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
34 25 0:34 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const UNIFIED: &str = "30 25 0:30 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn hierarchies_are_found_where_they_are_mounted_whole() {
        let own = "5:memory:/x\n4:cpu,cpuacct:/\n3:pids:/\n2:blkio:/\n1:name=systemd:/\n0::/\n";
        let Hierarchies::V1(found) = Hierarchies::parse(HYBRID, own) else { panic!("version 1") };
        let mounts: Vec<_> = found.iter().map(|one| one.mount.to_str().unwrap()).collect();
        let whole = ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
        assert_eq!(mounts, whole);
        assert_eq!(Hierarchies::parse(UNIFIED, "0::/init.scope\n"), Hierarchies::V2("/sys/fs/cgroup".into()));
    }

    #[test]
    fn the_cgroup_of_a_process_is_where_its_proc_says() {
        let own = "4:cpu,cpuacct:/\n3:pids:/\n1:name=systemd:/\n0::/\n";
        let process = "4:cpu,cpuacct:/kubepods/a:b\n3:pids:/kubepods/c\n0::/x\n";
        let cgroup = Cgroup::of_process(&Hierarchies::parse(HYBRID, own), process).unwrap();
        assert_eq!(cgroup.folder("cpuacct").unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct/kubepods/a:b"));
        assert_eq!(cgroup.folder("pids").unwrap(), Path::new("/sys/fs/cgroup/pids/kubepods/c"));
        assert_eq!(cgroup.folder("memory"), None);
        let unified = Hierarchies::parse(UNIFIED, "0::/init.scope\n");
        let cgroup = Cgroup::of_process(&unified, "0::/kubepods.slice/x.scope\n").unwrap();
        assert_eq!(cgroup.folder("memory").unwrap(), Path::new("/sys/fs/cgroup/kubepods.slice/x.scope"));
        assert_eq!(Cgroup::of_process(&unified, ""), None);
    }

    #[test]
    fn what_this_host_cannot_do_is_left_to_runc() {
        let reason = |hierarchies: &Hierarchies, resources: &str| {
            let resources = serde_json::from_str(resources).unwrap();
            Cgroup::new(hierarchies, "/kubepods/pod1/c").check(&resources).map_err(|reason| reason.to_string())
        };
        let oom_group = r#"{ "unified": { "memory.oom.group": "1" } }"#;
        let (unified, none) = (Hierarchies::V2("/sys/fs/cgroup".into()), Hierarchies::V1(Vec::new()));
        assert_eq!(reason(&unified, oom_group), Ok(()));
        assert_eq!(reason(&none, oom_group).unwrap_err(), "resources.unified with cgroup version 1");
        assert_eq!(reason(&none, "{}").unwrap_err(), "a host without the controller for devices");
    }

    /// A tree of plain files in the place of the kernel's.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                let path = tree.0.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            tree
        }
        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.0.path().join(path)).unwrap()
        }
    }

    fn resources() -> Resources {
        serde_json::from_str(
            r#"{ "memory": { "limit": 1000, "swap": 1500 }, "cpu": { "shares": 1024 }, "pids": { "limit": 5 } }"#,
        )
        .unwrap()
    }

    #[tokio::test]
    async fn version_2_gets_its_limits_and_is_frozen() {
        let tree = Tree::new(&[
            ("cgroup.controllers", "cpu memory pids\n"),
            ("pod/c/cgroup.procs", ""),
            ("pod/c/cgroup.events", "populated 1\nfrozen 1\n"),
        ]);
        let cgroup = Cgroup::new(&Hierarchies::V2(tree.0.path().to_owned()), "/pod/c");
        cgroup.create(&DeviceRules::All, &resources()).unwrap();
        assert_eq!(tree.read("pod/cgroup.subtree_control"), "+pids");
        assert_eq!(
            ["memory.max", "memory.swap.max", "cpu.weight", "pids.max"].map(|file| tree.read(&format!("pod/c/{file}"))),
            ["1000", "500", "39", "5"]
        );
        cgroup.freeze(true).await.unwrap();
        assert_eq!(tree.read("pod/c/cgroup.freeze"), "1");
        assert!(cgroup.birthplace().unwrap().is_some());
    }

    #[test]
    fn version_1_gets_devices_cpusets_and_limits() {
        let tree = Tree::new(&[
            ("cpuset/cpuset.cpus", "0-3\n"),
            ("cpuset/cpuset.mems", "0\n"),
            ("cpuset/pod/cpuset.cpus", "\n"),
            ("cpuset/pod/cpuset.mems", "\n"),
            ("cpuset/pod/c/cpuset.cpus", "\n"),
            ("cpuset/pod/c/cpuset.mems", "\n"),
        ]);
        let hierarchy = |name: &str| Hierarchy { controllers: vec![name.to_owned()], mount: tree.0.path().join(name) };
        let all = ["cpuset", "devices", "memory", "cpu", "pids"].map(hierarchy).to_vec();
        let cgroup = Cgroup::new(&Hierarchies::V1(all), "/pod/c");
        cgroup.check(&resources()).unwrap();
        cgroup.create(&DeviceRules::Only(Vec::new()), &resources()).unwrap();
        assert_eq!((tree.read("cpuset/pod/c/cpuset.cpus"), tree.read("cpuset/pod/c/cpuset.mems")), ("0-3".into(), "0".into()));
        assert_eq!(tree.read("devices/pod/c/devices.deny"), "a");
        assert_eq!(tree.read("memory/pod/c/memory.memsw.limit_in_bytes"), "1500");
        assert_eq!(tree.read("cpu/pod/c/cpu.shares"), "1024");
        cgroup.join().unwrap();
        assert_eq!(tree.read("pids/pod/c/tasks"), "0");
        let huge = serde_json::from_str(r#"{ "hugepageLimits": [{ "pageSize": "2MB", "limit": 1 }] }"#).unwrap();
        assert!(cgroup.update(&huge).unwrap_err().to_string().contains("this host has no cgroup controller hugetlb"));
    }

    #[test]
    fn a_cgroup_with_processes_is_not_taken() {
        let tree = Tree::new(&[("pids/pod/c/cgroup.procs", "12\n")]);
        let hierarchy = Hierarchy { controllers: vec!["pids".to_owned()], mount: tree.0.path().join("pids") };
        let cgroup = Cgroup::new(&Hierarchies::V1(vec![hierarchy]), "/pod/c");
        let error = cgroup.create(&DeviceRules::All, &Resources::default()).unwrap_err().to_string();
        assert!(error.contains("is not empty: process 12 is in it"), "{error}");
    }
}
