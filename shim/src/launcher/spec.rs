//! `config.json` as the launcher reads it: all of it, or not at all.
//!
//! Every object refuses fields that are not listed here. So whatever a bundle asks for is either carried out by the
//! launcher or named as the reason why runc runs the container; nothing is left out in silence.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(rename = "ociVersion")]
    _version: String,
    pub(super) process: Process,
    pub(super) root: Root,
    #[serde(default)]
    pub(super) hostname: String,
    #[serde(default)]
    pub(super) mounts: Vec<Mount>,
    #[serde(default, rename = "annotations")]
    _annotations: BTreeMap<String, String>,
    pub(super) linux: Linux,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Process {
    #[serde(default)]
    pub(super) terminal: bool,
    #[serde(default)]
    pub(super) user: User,
    #[serde(default)]
    pub(super) args: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<String>,
    pub(super) cwd: String,
    #[serde(default)]
    pub(super) capabilities: CapabilityNames,
    #[serde(default)]
    pub(super) rlimits: Vec<Rlimit>,
    #[serde(default)]
    pub(super) no_new_privileges: bool,
    pub(super) oom_score_adj: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) umask: Option<u32>,
    pub(super) additional_gids: Vec<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CapabilityNames {
    pub(super) bounding: Vec<String>,
    pub(super) effective: Vec<String>,
    pub(super) permitted: Vec<String>,
    pub(super) inheritable: Vec<String>,
    pub(super) ambient: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rlimit {
    #[serde(rename = "type")]
    pub(super) name: String,
    pub(super) hard: u64,
    pub(super) soft: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    #[serde(default)]
    pub(super) readonly: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mount {
    pub(super) destination: String,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) options: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Linux {
    #[serde(default)]
    pub(super) sysctl: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) resources: Resources,
    #[serde(default)]
    pub(super) cgroups_path: String,
    #[serde(default)]
    pub(super) namespaces: Vec<Namespace>,
    #[serde(default)]
    pub(super) devices: Vec<Device>,
    pub(super) seccomp: Option<Seccomp>,
    #[serde(default)]
    pub(super) rootfs_propagation: String,
    #[serde(default)]
    pub(super) masked_paths: Vec<String>,
    #[serde(default)]
    pub(super) readonly_paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Namespace {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) path: PathBuf,
}

/// A device to be made in the container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Device {
    pub(super) path: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) major: u32,
    #[serde(default)]
    pub(super) minor: u32,
    pub(super) file_mode: Option<u32>,
    #[serde(default)]
    pub(super) uid: u32,
    #[serde(default)]
    pub(super) gid: u32,
}

/// Limits of a cgroup: of `config.json`, and of the Update call.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Resources {
    pub(super) devices: Vec<DeviceRule>,
    pub(super) memory: Memory,
    pub(super) cpu: Cpu,
    pub(super) pids: Pids,
    pub(super) hugepage_limits: Vec<Hugepages>,
    pub(super) unified: BTreeMap<String, String>,
}

/// Which devices may be used; `type`, `major` and `minor` left out mean all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceRule {
    pub(super) allow: bool,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    pub(super) major: Option<i64>,
    pub(super) minor: Option<i64>,
    #[serde(default)]
    pub(super) access: String,
}

/// Bytes; -1 is no limit.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Memory {
    pub(super) limit: Option<i64>,
    pub(super) reservation: Option<i64>,
    /// Memory and swap together.
    pub(super) swap: Option<i64>,
    pub(super) swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller")]
    pub(super) disable_oom_killer: bool,
}

/// Times in microseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Cpu {
    pub(super) shares: Option<u64>,
    pub(super) quota: Option<i64>,
    pub(super) burst: Option<u64>,
    pub(super) period: Option<u64>,
    pub(super) cpus: String,
    pub(super) mems: String,
    pub(super) idle: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pids {
    pub(super) limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Hugepages {
    pub(super) page_size: String,
    pub(super) limit: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Seccomp {
    pub(super) default_action: String,
    pub(super) default_errno_ret: Option<u32>,
    #[serde(default)]
    pub(super) architectures: Vec<String>,
    #[serde(default)]
    pub(super) flags: Vec<String>,
    #[serde(default)]
    pub(super) syscalls: Vec<SyscallRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SyscallRule {
    pub(super) names: Vec<String>,
    pub(super) action: String,
    pub(super) errno_ret: Option<u32>,
    #[serde(default)]
    pub(super) args: Vec<SyscallArgument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SyscallArgument {
    pub(super) index: u8,
    pub(super) value: u64,
    #[serde(default)]
    pub(super) value_two: u64,
    pub(super) op: String,
}
