//! What is to be done for a bundle, or the reason why the launcher cannot. Pure: the same function decides in the shim
//! whether to launch, and tells the launcher's process what to do.

use std::{collections::BTreeMap, path::PathBuf};

use libc::c_int;
use rustix::{mount::MountPropagationFlags, process::Resource, thread::CapabilitySet};
use serde::Deserialize;
use serde_json::Value;

use super::{
    devices::{self, DeviceRules},
    mount::{self, MountPlan},
    seccomp::{self, Filters},
    spec::{self, Resources, Spec},
    sys,
};
use crate::options::RuntimeOptions;

/// Why a bundle is left to runc.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unsupported(String);

impl Unsupported {
    pub(super) fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// A container to be made.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: PathBuf,
    pub(super) readonly_root: bool,
    pub(super) propagation: MountPropagationFlags,
    /// Absolute, normal, below the mount points of the cgroup hierarchies.
    pub(super) cgroup: String,
    pub(super) device_rules: DeviceRules,
    pub(super) resources: Resources,
    pub(super) namespaces: Namespaces,
    pub(super) mounts: Vec<MountPlan>,
    pub(super) devices: Vec<spec::Device>,
    pub(super) masked: Vec<String>,
    pub(super) readonly: Vec<String>,
    pub(super) hostname: String,
    /// Path below /proc/sys and value.
    pub(super) sysctls: Vec<(String, String)>,
    pub(super) seccomp: Option<Filters>,
    pub(super) process: ProcessPlan,
}

/// What the process is, apart from where it lives.
#[derive(Debug)]
pub(super) struct ProcessPlan {
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) umask: u32,
    pub(super) capabilities: Capabilities,
    pub(super) rlimits: Vec<(Resource, rustix::process::Rlimit)>,
    pub(super) no_new_privileges: bool,
    pub(super) oom_score_adj: Option<i32>,
}

#[derive(Debug)]
pub(super) struct Capabilities {
    pub(super) bounding: CapabilitySet,
    pub(super) effective: CapabilitySet,
    pub(super) permitted: CapabilitySet,
    pub(super) inheritable: CapabilitySet,
    pub(super) ambient: CapabilitySet,
}

/// Namespaces other than the cgroup's.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// Flags of those to be made.
    pub(super) new: c_int,
    /// Those to be joined.
    pub(super) join: Vec<(c_int, PathBuf)>,
    pub(super) new_cgroup: bool,
}

impl Namespaces {
    fn owns(&self, flag: c_int) -> bool {
        self.new & flag != 0 || self.join.iter().any(|(joined, _)| *joined == flag)
    }
}

/// Checks the options of the runtime handler.
pub(super) fn check_options(options: &RuntimeOptions) -> Result<(), Unsupported> {
    let refuse = |what: &str| Err(Unsupported::new(format!("the runtime option {what}")));
    if options.systemd_cgroup {
        return refuse("SystemdCgroup");
    }
    if options.no_pivot_root {
        return refuse("NoPivotRoot");
    }
    if options.no_new_keyring {
        return refuse("NoNewKeyring");
    }
    if options.io_uid != 0 || options.io_gid != 0 {
        return refuse("IoUid");
    }
    Ok(())
}

impl Plan {
    pub(super) fn of(config: &Value) -> Result<Self, Unsupported> {
        let spec = Spec::deserialize(config).map_err(|error| {
            let text = error.to_string();
            // "unknown field `x`, expected one of" thirty others.
            Unsupported::new(text.split(", expected").next().unwrap_or(&text).to_owned())
        })?;
        let namespaces = namespaces(&spec.linux.namespaces)?;
        if !spec.hostname.is_empty() && !namespaces.owns(sys::NEW_UTS) {
            return Err(Unsupported::new("a hostname without a uts namespace".to_owned()));
        }
        // Files of limits, by their names: those of the cgroup itself, such as its processes, are no limits.
        let is_limit = |file: &String| !file.starts_with("cgroup.") && !file.contains('/') && file.contains('.');
        if let Some(file) = spec.linux.resources.unified.keys().find(|file| !is_limit(file)) {
            return Err(Unsupported::new(format!("resources.unified: {file:?}")));
        }
        let propagation = match spec.linux.rootfs_propagation.as_str() {
            "" => MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
            // With "shared", the pivot needs more than is done here.
            name @ ("private" | "rprivate" | "slave" | "rslave") => {
                mount::propagation(name).ok_or_else(|| Unsupported::new(name.to_owned()))?
            }
            other => return Err(Unsupported::new(format!("rootfsPropagation {other:?}"))),
        };
        Ok(Self {
            root: spec.root.path,
            readonly_root: spec.root.readonly,
            propagation,
            cgroup: cgroup_path(&spec.linux.cgroups_path)?,
            device_rules: DeviceRules::of(&spec.linux.resources.devices)?,
            sysctls: sysctls(&spec.linux.sysctl, &namespaces)?,
            mounts: spec.mounts.iter().map(MountPlan::parse).collect::<Result<_, _>>()?,
            devices: devices::to_make(&spec.linux.devices)?,
            masked: absolute("maskedPaths", spec.linux.masked_paths)?,
            readonly: absolute("readonlyPaths", spec.linux.readonly_paths)?,
            hostname: spec.hostname,
            seccomp: spec.linux.seccomp.as_ref().map(seccomp::compile).transpose()?,
            resources: spec.linux.resources,
            namespaces,
            process: process(spec.process)?,
        })
    }

    /// Whether `/dev` is left as it is: somebody's folder is mounted there.
    pub(super) fn brings_own_dev(&self) -> bool {
        self.mounts.iter().any(|one| mount::normal(&one.destination) == "/dev" && matches!(one.kind, mount::Kind::Bind { .. }))
    }
}

fn namespaces(list: &[spec::Namespace]) -> Result<Namespaces, Unsupported> {
    let mut namespaces = Namespaces::default();
    for one in list {
        let flag = match one.kind.as_str() {
            "mount" => sys::NEW_MOUNT,
            "pid" => sys::NEW_PID,
            "network" => sys::NEW_NETWORK,
            "ipc" => sys::NEW_IPC,
            "uts" => sys::NEW_UTS,
            "cgroup" => sys::NEW_CGROUP,
            other => return Err(Unsupported::new(format!("a namespace of type {other:?}"))),
        };
        let is_new = one.path.as_os_str().is_empty();
        if namespaces.owns(flag) {
            return Err(Unsupported::new(format!("two namespaces of type {:?}", one.kind)));
        }
        match flag {
            sys::NEW_MOUNT | sys::NEW_CGROUP if !is_new => {
                return Err(Unsupported::new(format!("joining a {} namespace", one.kind)));
            }
            sys::NEW_CGROUP => namespaces.new_cgroup = true,
            flag if is_new => namespaces.new |= flag,
            flag => namespaces.join.push((flag, one.path.clone())),
        }
    }
    if !namespaces.owns(sys::NEW_MOUNT) {
        return Err(Unsupported::new("no mount namespace".to_owned()));
    }
    Ok(namespaces)
}

fn cgroup_path(path: &str) -> Result<String, Unsupported> {
    if !path.starts_with('/') || path.contains(':') {
        return Err(Unsupported::new(format!("cgroupsPath {path:?} is no absolute path")));
    }
    let normal = mount::normal(path);
    if normal == "/" || path.split('/').any(|part| part == "..") {
        return Err(Unsupported::new(format!("cgroupsPath {path:?} is no path below the root")));
    }
    Ok(normal)
}

/// Only those that belong to a namespace of the container: others would change the node.
fn sysctls(sysctls: &BTreeMap<String, String>, namespaces: &Namespaces) -> Result<Vec<(String, String)>, Unsupported> {
    const IPC: [&str; 9] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "fs.mqueue",
    ];
    let mut paths = Vec::new();
    for (name, value) in sysctls {
        let is_ipc = IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.");
        let is_own = is_ipc && namespaces.owns(sys::NEW_IPC) || name.starts_with("net.") && namespaces.owns(sys::NEW_NETWORK);
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !name.contains("..");
        if !is_own || !plain {
            return Err(Unsupported::new(format!("sysctl {name}")));
        }
        paths.push((name.replace('.', "/"), value.clone()));
    }
    Ok(paths)
}

fn absolute(field: &str, paths: Vec<String>) -> Result<Vec<String>, Unsupported> {
    match paths.iter().find(|path| !path.starts_with('/')) {
        Some(path) => Err(Unsupported::new(format!("{field}: {path:?} is not absolute"))),
        None => Ok(paths),
    }
}

fn process(process: spec::Process) -> Result<ProcessPlan, Unsupported> {
    if process.terminal {
        return Err(Unsupported::new("a terminal".to_owned()));
    }
    if process.args.first().is_none_or(|program| !program.starts_with('/')) {
        return Err(Unsupported::new("a program that is not named by its path".to_owned()));
    }
    if !process.cwd.starts_with('/') {
        return Err(Unsupported::new(format!("cwd {:?} is not absolute", process.cwd)));
    }
    let mut env = BTreeMap::new();
    for variable in &process.env {
        let (name, value) = variable
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Unsupported::new(format!("environment variable {variable:?}")))?;
        // Of two with one name the last counts, as with runc.
        env.insert(name.to_owned(), value.to_owned());
    }
    if process.args.iter().any(|text| text.contains('\0'))
        || env.iter().any(|(name, value)| (name.clone() + value).contains('\0'))
    {
        return Err(Unsupported::new("a NUL in an argument or a variable".to_owned()));
    }
    let names = &process.capabilities;
    Ok(ProcessPlan {
        args: process.args,
        env,
        cwd: process.cwd,
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids,
        umask: process.user.umask.unwrap_or(0o022),
        capabilities: Capabilities {
            bounding: capabilities(&names.bounding)?,
            effective: capabilities(&names.effective)?,
            permitted: capabilities(&names.permitted)?,
            inheritable: capabilities(&names.inheritable)?,
            ambient: capabilities(&names.ambient)?,
        },
        rlimits: process.rlimits.iter().map(rlimit).collect::<Result<_, _>>()?,
        no_new_privileges: process.no_new_privileges,
        oom_score_adj: process.oom_score_adj,
    })
}

fn capabilities(names: &[String]) -> Result<CapabilitySet, Unsupported> {
    names.iter().try_fold(CapabilitySet::empty(), |set, name| {
        let one = name.strip_prefix("CAP_").and_then(CapabilitySet::from_name);
        one.map(|one| set | one).ok_or_else(|| Unsupported::new(format!("capability {name}")))
    })
}

fn rlimit(limit: &spec::Rlimit) -> Result<(Resource, rustix::process::Rlimit), Unsupported> {
    let resource = match limit.name.as_str() {
        "RLIMIT_AS" => Resource::As,
        "RLIMIT_CORE" => Resource::Core,
        "RLIMIT_CPU" => Resource::Cpu,
        "RLIMIT_DATA" => Resource::Data,
        "RLIMIT_FSIZE" => Resource::Fsize,
        "RLIMIT_LOCKS" => Resource::Locks,
        "RLIMIT_MEMLOCK" => Resource::Memlock,
        "RLIMIT_MSGQUEUE" => Resource::Msgqueue,
        "RLIMIT_NICE" => Resource::Nice,
        "RLIMIT_NOFILE" => Resource::Nofile,
        "RLIMIT_NPROC" => Resource::Nproc,
        "RLIMIT_RSS" => Resource::Rss,
        "RLIMIT_RTPRIO" => Resource::Rtprio,
        "RLIMIT_RTTIME" => Resource::Rttime,
        "RLIMIT_SIGPENDING" => Resource::Sigpending,
        "RLIMIT_STACK" => Resource::Stack,
        other => return Err(Unsupported::new(format!("rlimit {other}"))),
    };
    let bound = |value: u64| (value != u64::MAX).then_some(value);
    Ok((resource, rustix::process::Rlimit { current: bound(limit.soft), maximum: bound(limit.hard) }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RECORDED: &str = include_str!("../launch/testdata/plain.json");

    fn plan(change: impl FnOnce(&mut Value)) -> Result<Plan, String> {
        let mut config: Value = serde_json::from_str(RECORDED).unwrap();
        change(&mut config);
        // As `launch::rewrite` leaves it.
        config["process"]["args"] = json!(["/.perigee/perigee", "worker"]);
        Plan::of(&config).map_err(|reason| reason.to_string())
    }

    #[test]
    fn a_container_of_the_kubelet_is_launched() {
        let plan = plan(|_| {}).unwrap();
        assert_eq!(plan.namespaces.new, sys::NEW_MOUNT | sys::NEW_PID);
        assert_eq!(plan.namespaces.join.len(), 3);
        assert_eq!((plan.process.uid, plan.process.umask), (1000, 0o022));
        assert_eq!(plan.process.capabilities.bounding, CapabilitySet::NET_BIND_SERVICE);
        assert_eq!(plan.process.capabilities.inheritable, CapabilitySet::empty());
        assert!(plan.seccomp.is_some() && plan.readonly_root && plan.process.no_new_privileges);
    }

    #[test]
    fn whatever_is_not_understood_is_named_and_left_to_runc() {
        type Change = fn(&mut Value);
        let cases: [(&str, Change); 21] = [
            ("unknown field `hooks`", |config| config["hooks"] = json!({})),
            ("unknown field `apparmorProfile`", |config| {
                config["process"]["apparmorProfile"] = "cri-containerd.apparmor.d".into()
            }),
            ("unknown field `selinuxLabel`", |config| config["process"]["selinuxLabel"] = "system_u".into()),
            ("unknown field `ioPriority`", |config| config["process"]["ioPriority"] = json!({})),
            ("unknown field `mountLabel`", |config| config["linux"]["mountLabel"] = "system_u".into()),
            ("unknown field `uidMappings`", |config| config["linux"]["uidMappings"] = json!([])),
            ("unknown field `intelRdt`", |config| config["linux"]["intelRdt"] = json!({})),
            ("unknown field `timeOffsets`", |config| config["linux"]["timeOffsets"] = json!({})),
            ("unknown field `blockIO`", |config| config["linux"]["resources"]["blockIO"] = json!({})),
            ("resources.unified: \"cgroup.procs\"", |config| {
                config["linux"]["resources"]["unified"] = json!({ "memory.high": "1", "cgroup.procs": "1" });
            }),
            ("resources.unified: \"../memory.max\"", |config| {
                config["linux"]["resources"]["unified"] = json!({ "../memory.max": "1" });
            }),
            ("a namespace of type \"user\"", |config| config["linux"]["namespaces"][0] = json!({ "type": "user" })),
            ("a namespace of type \"time\"", |config| config["linux"]["namespaces"][0] = json!({ "type": "time" })),
            ("a terminal", |config| config["process"]["terminal"] = true.into()),
            ("is no absolute path", |config| {
                config["linux"]["cgroupsPath"] = "kubepods-burstable-podd7.slice:cri-containerd:5f0e".into();
            }),
            ("is no path below the root", |config| config["linux"]["cgroupsPath"] = "/a/../../b".into()),
            ("rootfsPropagation \"rshared\"", |config| config["linux"]["rootfsPropagation"] = "rshared".into()),
            ("sysctl kernel.panic", |config| config["linux"]["sysctl"] = json!({ "kernel.panic": "1" })),
            ("sysctl net/../kernel/panic", |config| config["linux"]["sysctl"] = json!({ "net/../kernel/panic": "1" })),
            ("capability CAP_NONE", |config| config["process"]["capabilities"]["bounding"] = json!(["CAP_NONE"])),
            ("environment variable \"broken\"", |config| config["process"]["env"] = json!(["broken"])),
        ];
        for (expected, change) in cases {
            let reason = plan(change).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
            assert!(reason.len() < 120, "{reason}");
        }
    }

    #[test]
    fn sysctls_of_the_pods_namespaces_are_set() {
        let sysctls = json!({ "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "0", "fs.mqueue.msg_max": "9" });
        let plan = plan(|config| config["linux"]["sysctl"] = sysctls).unwrap();
        assert_eq!(plan.sysctls.len(), 3);
        assert!(plan.sysctls.contains(&("net/ipv4/ip_forward".to_owned(), "1".to_owned())));
    }

    #[test]
    fn options_of_the_handler_that_ask_for_runc_are_named() {
        let reason = |change: fn(&mut RuntimeOptions)| {
            let mut options = RuntimeOptions::default();
            change(&mut options);
            check_options(&options).unwrap_err().to_string()
        };
        assert_eq!(reason(|options| options.systemd_cgroup = true), "the runtime option SystemdCgroup");
        assert_eq!(reason(|options| options.no_pivot_root = true), "the runtime option NoPivotRoot");
        assert!(check_options(&RuntimeOptions::default()).is_ok());
    }
}
