//! The shim's own launcher against runc: the same bundle, started both ways, looks the same from /proc.
//!
//! What may differ is named here and nowhere else: ids; the number of seccomp filters (the launcher stacks two); and that
//! the launcher makes the folder /sys/fs/cgroup read-only as the bundle asks, which runc 1.1 does only to those in it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use containerd_shim::api::CreateTaskRequest;
use serde_json::{Value, json};

use crate::{
    cgroups::{self, is_unified},
    node::{Bundle, Node, Shim},
};

/// A container of the kubelet's with volumes, limits, a user and the default seccomp profile.
const VOLUMES: &str = include_str!("../../src/launch/testdata/plain.json");
/// Recorded on the test cluster; only what the shim had added to them is taken out again.
const PLAIN: &str = include_str!("bundles/plain-pod.json");
const APP: &str = include_str!("bundles/actor-app.json");
const READ_ONLY: &str = include_str!("bundles/read-only-root.json");
const SECCOMP: &str = include_str!("bundles/default-seccomp.json");
const ROOT: &str = include_str!("bundles/root-user.json");
/// Of pods with `hostNetwork`; with `shareProcessNamespace`; with the host's network, processes and IPC.
const HOST_NETWORK: &str = include_str!("bundles/host-network.json");
const SHARED_PID: &str = include_str!("bundles/shared-pid.json");
const HOST_NAMESPACES: &str = include_str!("bundles/host-namespaces.json");
const WASM: &[u8] = b"\0asm\x01\0\0\0";

/// Files of both versions of cgroups, and the controllers whose they are.
const FILES: [(&str, &str); 29] = [
    ("devices", "devices.list"),
    ("memory", "memory.limit_in_bytes"),
    ("memory", "memory.memsw.limit_in_bytes"),
    ("memory", "memory.soft_limit_in_bytes"),
    ("memory", "memory.swappiness"),
    ("cpu", "cpu.shares"),
    ("cpu", "cpu.cfs_quota_us"),
    ("cpu", "cpu.cfs_period_us"),
    ("pids", "pids.max"),
    ("cpuset", "cpuset.cpus"),
    ("cpuset", "cpuset.mems"),
    ("freezer", "freezer.state"),
    ("memory", "memory.max"),
    ("memory", "memory.high"),
    ("memory", "memory.low"),
    ("memory", "memory.min"),
    ("memory", "memory.swap.max"),
    ("memory", "memory.oom.group"),
    ("cpu", "cpu.max"),
    ("cpu", "cpu.max.burst"),
    ("cpu", "cpu.weight"),
    ("cpu", "cpu.idle"),
    ("hugetlb", "hugetlb.2MB.max"),
    ("hugetlb", "hugetlb.2MB.rsvd.max"),
    ("io", "io.weight"),
    ("cgroup", "cgroup.type"),
    ("cgroup", "cgroup.controllers"),
    ("cgroup", "cgroup.subtree_control"),
    ("cgroup", "cgroup.freeze"),
];

/// Everything that /proc and the cgroups say of a process, by name.
type Report = BTreeMap<String, String>;

/// The recorded bundle on this node: sources exist, and the namespaces to be joined are those of `sandbox`.
fn here(recorded: &str, node: &Node, sandbox: u32, id: &str) -> Value {
    let mut config: Value = serde_json::from_str(recorded).unwrap();
    for mount in config["mounts"].as_array_mut().unwrap() {
        let (destination, is_bind) = (mount["destination"].as_str().unwrap().to_owned(), mount["type"] == "bind");
        if is_bind {
            mount["source"] = source(node, &destination).to_str().unwrap().into();
        }
    }
    for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
        if let Some(path) = namespace["path"].as_str() {
            let kind = Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
            namespace["path"] = format!("/proc/{sandbox}/ns/{kind}").into();
        }
    }
    config["linux"]["cgroupsPath"] = format!("/perigee-it/{}/{id}", node.path().file_name().unwrap().display()).into();
    config["process"]["env"].as_array_mut().unwrap().push("STAY=1".into());
    config
}

/// The sandbox that was recorded had these namespaces of the host: the one here has its own.
fn as_hosts(config: &mut Value, kinds: &[&str]) {
    for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
        let kind = namespace["type"].as_str().unwrap();
        if kinds.contains(&kind) {
            let file = if kind == "network" { "net" } else { kind };
            namespace["path"] = format!("/proc/{}/ns/{file}", std::process::id()).into();
        }
    }
}

/// A folder or a file on the node that is mounted at `destination`; the same for every container.
fn source(node: &Node, destination: &str) -> PathBuf {
    let path = node.path().join("volumes").join(destination.trim_start_matches('/').replace('/', "-"));
    let is_file = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/one.conf", "/dev/termination-log"];
    if is_file.contains(&destination) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
    } else {
        fs::create_dir_all(&path).unwrap();
    }
    path
}

/// `NoNewKeyring` is an option that only runc understands.
fn request(shim: &Shim, bundle: &Bundle, by_runc: bool) -> CreateTaskRequest {
    let mut request = shim.request(bundle);
    if by_runc {
        request.options = Some(shim.options("NoNewKeyring = true\n")).into();
    }
    request
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| format!("{error}"))
}

fn report(pid: u32, bundle: &Bundle) -> Report {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let plain = |text: String| text.replace(&bundle.id, "ID");
    let mut report = Report::new();
    let mut add = |name: String, value: String| drop(report.insert(name, plain(value)));
    for line in read(proc.join("status")).lines() {
        let (name, value) = line.split_once(':').unwrap();
        let counted =
            ["Vm", "Rss", "Threads", "Pid", "PPid", "Tgid", "Ngid", "Hugetlb", "NS", "Sig", "nonvoluntary", "voluntary", "State"];
        // Two filters where runc has one; and which processor it happened to run on.
        let own = ["Seccomp_filters", "SigQ", "FDSize", "CoreDumping", "THP_enabled", "untag_mask", "x86_Thread_features"];
        if !counted.iter().any(|prefix| name.starts_with(prefix)) && !own.contains(&name) {
            add(format!("status {name}"), value.trim().to_owned());
        }
        if matches!(name, "SigBlk" | "SigIgn" | "SigCgt") {
            add(format!("status {name}"), value.trim().to_owned());
        }
        if name == "NSpid" {
            add("depth of pid namespaces".to_owned(), value.split_whitespace().count().to_string());
        }
    }
    for line in read(proc.join("mountinfo")).lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let end = fields.iter().position(|field| *field == "-").unwrap();
        let tags: Vec<&str> = fields[6..end].iter().map(|tag| tag.split(':').next().unwrap()).collect();
        let text = format!("{} {} {} {}", fields[3], fields[5], tags.join(" "), fields[end + 1..].join(" "));
        let text = if fields[4] == "/sys/fs/cgroup" { text.replacen(" ro,", " rw,", 1) } else { text };
        let mut name = format!("mount {}", fields[4]);
        while report_has(&report, &name) {
            name.push('+');
        }
        report.insert(name, plain(text));
    }
    let mut add = |name: String, value: String| drop(report.insert(name, plain(value)));
    for file in ["limits", "oom_score_adj", "cgroup", "loginuid"] {
        add(file.to_owned(), read(proc.join(file)));
    }
    let mut env: Vec<String> = read(proc.join("environ")).split('\0').map(str::to_owned).collect();
    env.sort();
    add("environ".to_owned(), env.join(" "));
    add("cmdline".to_owned(), read(proc.join("cmdline")).replace('\0', " "));
    for link in ["cwd", "root", "exe", "fd/0"] {
        add(link.to_owned(), fs::read_link(proc.join(link)).unwrap().display().to_string());
    }
    for entry in fs::read_dir(proc.join("ns")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        let is_hosts = of(&pid.to_string()) == of("self");
        add(format!("ns {name}"), if is_hosts { "the host's" } else { "another" }.to_owned());
    }
    for folder in ["", "dev", "scratch", "proc", "etc", "srv/made"] {
        let stat =
            fs::metadata(proc.join("root").join(folder)).map(|stat| format!("{:o} {}", stat.permissions().mode(), stat.uid()));
        add(format!("folder /{folder}"), format!("{:?}", stat.map_err(|error| error.kind())));
    }
    let dev = proc.join("root/dev");
    for entry in fs::read_dir(&dev).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stat = fs::symlink_metadata(dev.join(&name)).unwrap();
        let kind = stat.file_type();
        let device = if kind.is_char_device() || kind.is_block_device() { stat.rdev() } else { 0 };
        let target = fs::read_link(dev.join(&name)).unwrap_or_default();
        let text = format!("{:o} {}:{} {device} {}", stat.permissions().mode(), stat.uid(), stat.gid(), target.display());
        add(format!("dev {name}"), text);
    }
    let session = read(proc.join("stat"));
    let fields: Vec<&str> = session.rsplit_once(')').unwrap().1.split_whitespace().collect();
    add("leads its session and group".to_owned(), (fields[2] == fields[3]).to_string());
    for (controller, file) in FILES {
        let path = cgroups::folder(bundle, controller).join(file);
        if path.exists() {
            let mut lines: Vec<String> = read(path).lines().map(str::to_owned).collect();
            lines.sort();
            add(format!("cgroup {file}"), lines.join("; "));
        }
    }
    add("devices".to_owned(), devices(bundle));
    report
}

fn report_has(report: &Report, name: &str) -> bool {
    report.contains_key(name)
}

/// What a process in the container's cgroup may make and open, whatever files there are in the container.
fn devices(bundle: &Bundle) -> String {
    // As a device that may not be used differs from one that is not there.
    const SCRIPT: &str = r#"
        export LC_ALL=C; cd "$1"; echo $$ >"$2"
        say() { read -r text <said || text=; case $text in *"Operation not permitted"*) echo "$1-";; *) echo "$1+";; esac; }
        while IFS=: read -r kind major minor; do
            echo "$kind:$major:$minor"
            mknod device $kind $major $minor 2>said; say m
            [ -e device ] || continue
            { true <device; } 2>said; say r
            { true >>device; } 2>said; say w
            { true <>device; } 2>said; say rw
            rm device
        done"#;
    // The null device, /dev/mem, pseudo-terminals, tun, fuse, control of loops, a mouse; a loop, a disk.
    const DEVICES: &str = "c:1:3\nc:1:1\nc:5:2\nc:10:200\nc:10:229\nc:10:237\nc:10:1\nb:7:0\nb:8:0\n";
    let procs = cgroups::folder(bundle, "devices").join("cgroup.procs");
    fs::write(bundle.path.join("devices"), DEVICES).unwrap();
    let list = fs::File::open(bundle.path.join("devices")).unwrap();
    let output = Command::new("sh").args(["-c", SCRIPT, "sh"]).arg(&bundle.path).arg(procs).stdin(list).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap().replace('\n', " ");
    assert!(said.starts_with("c:1:3 m+ r+ w+ rw+ c:1:1 m+ "), "every container has the null device, and may make any: {said}");
    said
}

type Change = fn(&mut Value);

type Case = (&'static str, &'static str, Change);

/// Recorded bundles.
const RECORDED: [Case; 8] = [
    ("plain-pod", PLAIN, |_| {}),
    ("actor-app", APP, |_| {}),
    ("read-only-root", READ_ONLY, |_| {}),
    ("default-seccomp", SECCOMP, |_| {}),
    ("root-user-recorded", ROOT, |_| {}),
    ("shared-pid-recorded", SHARED_PID, |_| {}),
    ("host-network-recorded", HOST_NETWORK, |config| as_hosts(config, &["network"])),
    ("host-namespaces-recorded", HOST_NAMESPACES, |config| as_hosts(config, &["pid", "ipc", "network"])),
];

/// What the kubelet and containerd make of fields of a pod that say who its processes are.
const USERS: [Case; 5] = [
    ("volumes", VOLUMES, |_| {}),
    ("root-user", VOLUMES, |config| {
        config["process"]["user"] = json!({ "uid": 0, "gid": 0 });
        config["root"]["readonly"] = false.into();
        config["process"]["noNewPrivileges"] = false.into();
        let names = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"];
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(names);
        }
    }),
    ("run-as-user", VOLUMES, |config| {
        config["process"]["user"] = json!({ "uid": 1234, "gid": 99, "additionalGids": [99, 2000, 3000], "umask": 63 });
        config["process"]["noNewPrivileges"] = false.into();
        config["process"]["cwd"] = "/srv/made".into();
    }),
    ("ambient", VOLUMES, |config| {
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            config["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE", "CAP_NET_RAW"]);
        }
    }),
    ("seccomp-unconfined", VOLUMES, |config| drop(config["linux"].as_object_mut().unwrap().remove("seccomp"))),
];

/// ... of those that say where they are.
const PLACES: [Case; 4] = [
    ("host-network", VOLUMES, |config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "network");
    }),
    ("host-pid", VOLUMES, |config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    }),
    ("many-volumes", VOLUMES, |config| {
        let sources: Vec<Value> =
            config["mounts"].as_array().unwrap().iter().filter(|mount| mount["destination"] == "/data").cloned().collect();
        for number in 0..24 {
            let mut mount = sources[0].clone();
            mount["destination"] = format!("/volumes/{}/v{number}", number % 5).into();
            mount["options"] =
                if number % 2 == 0 { json!(["rbind", "rprivate", "ro"]) } else { json!(["rbind", "rslave", "rw"]) };
            config["mounts"].as_array_mut().unwrap().push(mount);
        }
        config["mounts"].as_array_mut().unwrap().push(json!({
            "destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=1024k", "ro"],
        }));
    }),
    ("cgroup-namespace", VOLUMES, |config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "cgroup" }));
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "uts");
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "uts" }));
        config["hostname"] = "own-name".into();
    }),
];

/// ... of those that say what they may use.
const LIMITED: [Case; 3] = [
    ("limits", VOLUMES, |config| {
        config["process"]["oomScoreAdj"] = 998.into();
        config["process"]["rlimits"] =
            json!([{ "type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024 }, { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }]);
        config["linux"]["resources"]["pids"] = json!({ "limit": 77 });
        config["linux"]["resources"]["cpu"]["cpus"] = "0".into();
        config["linux"]["resources"]["memory"] = json!({ "limit": 268435456, "reservation": 134217728 });
        if is_unified() {
            // As the kubelet has it there.
            config["linux"]["resources"]["unified"] = json!({ "memory.oom.group": "1", "memory.high": "250000000" });
        }
    }),
    ("some-devices", VOLUMES, |config| {
        config["linux"]["resources"]["devices"] = json!([
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" },
            { "allow": true, "type": "c", "major": 10, "minor": 237, "access": "r" },
            { "allow": true, "type": "c", "major": 10, "minor": 1, "access": "r" },
            { "allow": true, "type": "c", "major": 10, "minor": 1, "access": "w" },
            { "allow": true, "type": "b", "major": 7, "access": "w" },
        ]);
    }),
    ("privileged-devices", VOLUMES, |config| {
        config["linux"]["resources"]["devices"] =
            json!([{ "allow": false, "access": "rwm" }, { "allow": true, "access": "rwm" }]);
        config["linux"]["devices"] =
            json!([{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 5, "gid": 6 }]);
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    }),
];

#[tokio::test]
async fn the_launcher_and_runc_make_the_same_of_recorded_bundles() {
    compare(&RECORDED).await;
}

#[tokio::test]
async fn the_launcher_and_runc_make_the_same_user() {
    compare(&USERS).await;
}

#[tokio::test]
async fn the_launcher_and_runc_make_the_same_places() {
    compare(&PLACES).await;
}

#[tokio::test]
async fn the_launcher_and_runc_set_the_same_limits() {
    compare(&LIMITED).await;
}

/// Makes each container both ways, one after the other, and looks at both.
async fn compare(cases: &[Case]) {
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello", "sleep"], |config, _| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "network" }));
    });
    let shim = node.start(&sandbox).await;
    let pause = shim.create(&sandbox).await.unwrap().pid;
    shim.run("pod").await;
    let mut differences = Vec::new();
    for &(name, recorded, change) in cases {
        let mut reports = Vec::new();
        for by_runc in [false, true] {
            let id = format!("{name}-{}", if by_runc { "runc" } else { "own" });
            let bundle = node.bundle(&id, &[], |config, rootfs| {
                *config = here(recorded, &node, pause, &id);
                change(config);
                fs::create_dir_all(rootfs.join("etc")).unwrap();
                fs::create_dir_all(rootfs.join("scratch")).unwrap();
                fs::set_permissions(rootfs.join("scratch"), fs::Permissions::from_mode(0o751)).unwrap();
                fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nu:x:1000:0::/home/u:/bin/sh\n").unwrap();
                fs::write(rootfs.join("app.wasm"), WASM).unwrap();
            });
            let _out = (bundle.hold("stdout"), bundle.hold("stderr"));
            let created = shim.client.create(crate::node::call_context(), &request(&shim, &bundle, by_runc)).await;
            let pid = created.unwrap_or_else(|error| panic!("{id}: {error:?}")).pid;
            assert_eq!(bundle.path.join("perigee-launcher").exists(), !by_runc, "{id}");
            shim.run(&id).await;
            bundle.expect("stdout", "written").await;
            reports.push(report(pid, &bundle));
            shim.kill(&id, 9).await.unwrap();
            assert_eq!(shim.wait(&id).await.exit_status, 137);
            shim.delete(&id).await.unwrap();
        }
        let names: std::collections::BTreeSet<&String> = reports.iter().flat_map(BTreeMap::keys).collect();
        for field in names {
            let [own, runc] = [0, 1].map(|index: usize| reports[index].get(field));
            if own != runc {
                differences.push(format!("{name}: {field}\n   own {own:?}\n  runc {runc:?}"));
            }
        }
    }
    shim.kill("pod", 9).await.unwrap();
    shim.wait("pod").await;
    shim.delete("pod").await.unwrap();
    shim.end().await;
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
