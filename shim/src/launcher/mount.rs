//! Mounts of `config.json` with their options understood. Pure.

use std::path::PathBuf;

use rustix::mount::{MountFlags, MountPropagationFlags};

use super::{plan::Unsupported, spec};

/// One mount, ready to be carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MountPlan {
    pub(super) destination: String,
    pub(super) flags: MountFlags,
    /// In the order given.
    pub(super) propagation: Vec<MountPropagationFlags>,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bind {
        source: PathBuf,
        recursive: bool,
        /// Whether `flags` differ from those of any new mount: then they are set in a second step.
        remount: bool,
    },
    FileSystem {
        name: String,
        source: String,
        data: String,
    },
    /// The container's own cgroups, read-only or not.
    Cgroup,
}

/// File systems that `mount(2)` makes with nothing to be prepared.
const FILE_SYSTEMS: [&str; 5] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue"];

impl MountPlan {
    pub(super) fn parse(mount: &spec::Mount) -> Result<Self, Unsupported> {
        let unsupported = |what: String| Unsupported::new(format!("mount {}: {what}", mount.destination));
        let mut options = Options::new();
        for option in &mount.options {
            options.add(option);
        }
        if !mount.destination.starts_with('/') {
            return Err(unsupported("its destination is not absolute".to_owned()));
        }
        // A bind over a part of /proc can fool whatever reads it.
        if normal(&mount.destination).starts_with("/proc/") {
            return Err(unsupported("it lies in /proc".to_owned()));
        }
        let is_bind = options.bind || mount.kind == "bind";
        let kind = if is_bind {
            if let Some(option) = options.data.first() {
                return Err(unsupported(format!("option {option:?}")));
            }
            let recursive = options.recursive;
            Kind::Bind { source: PathBuf::from(&mount.source), recursive, remount: options.changed }
        } else if FILE_SYSTEMS.contains(&mount.kind.as_str()) {
            if let Some(option) = options.data.iter().find(|option| !is_data(option)) {
                return Err(unsupported(format!("option {option:?}")));
            }
            Kind::FileSystem { name: mount.kind.clone(), source: mount.source.clone(), data: options.data.join(",") }
        } else if mount.kind == "cgroup" {
            Kind::Cgroup
        } else {
            return Err(unsupported(format!("type {:?}", mount.kind)));
        };
        if !is_bind && !options.propagation.is_empty() {
            return Err(unsupported("propagation of a new file system".to_owned()));
        }
        Ok(Self { destination: mount.destination.clone(), flags: options.flags, propagation: options.propagation, kind })
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.flags.contains(MountFlags::RDONLY)
    }
}

/// Options of a mount, sorted by what they are.
struct Options {
    flags: MountFlags,
    /// A flag was named, be it to set or to clear it.
    changed: bool,
    bind: bool,
    recursive: bool,
    propagation: Vec<MountPropagationFlags>,
    /// For the file system.
    data: Vec<String>,
}

impl Options {
    fn new() -> Self {
        let flags = MountFlags::empty();
        Self { flags, changed: false, bind: false, recursive: false, propagation: Vec::new(), data: Vec::new() }
    }

    fn add(&mut self, option: &str) {
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "" | "defaults" => {}
            _ => {
                if let Some(flags) = propagation(option) {
                    self.propagation.push(flags);
                } else if let Some((flag, set)) = flag(option) {
                    self.flags.set(flag, set);
                    // "rw" and the like clear what a new mount has not set: nothing changes.
                    self.changed |= set;
                } else {
                    self.data.push(option.to_owned());
                }
            }
        }
    }
}

fn flag(option: &str) -> Option<(MountFlags, bool)> {
    Some(match option {
        "ro" => (MountFlags::RDONLY, true),
        "rw" => (MountFlags::RDONLY, false),
        "nosuid" => (MountFlags::NOSUID, true),
        "suid" => (MountFlags::NOSUID, false),
        "nodev" => (MountFlags::NODEV, true),
        "dev" => (MountFlags::NODEV, false),
        "noexec" => (MountFlags::NOEXEC, true),
        "exec" => (MountFlags::NOEXEC, false),
        "sync" => (MountFlags::SYNCHRONOUS, true),
        "async" => (MountFlags::SYNCHRONOUS, false),
        "dirsync" => (MountFlags::DIRSYNC, true),
        "noatime" => (MountFlags::NOATIME, true),
        "atime" => (MountFlags::NOATIME, false),
        "nodiratime" => (MountFlags::NODIRATIME, true),
        "diratime" => (MountFlags::NODIRATIME, false),
        "relatime" => (MountFlags::RELATIME, true),
        "norelatime" => (MountFlags::RELATIME, false),
        "strictatime" => (MountFlags::STRICTATIME, true),
        "nostrictatime" => (MountFlags::STRICTATIME, false),
        _ => return None,
    })
}

pub(super) fn propagation(option: &str) -> Option<MountPropagationFlags> {
    let recursive = MountPropagationFlags::REC;
    Some(match option {
        "private" => MountPropagationFlags::PRIVATE,
        "rprivate" => MountPropagationFlags::PRIVATE | recursive,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "rslave" => MountPropagationFlags::DOWNSTREAM | recursive,
        "shared" => MountPropagationFlags::SHARED,
        "rshared" => MountPropagationFlags::SHARED | recursive,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        "runbindable" => MountPropagationFlags::UNBINDABLE | recursive,
        _ => return None,
    })
}

/// Options of the file systems above. Others, such as runc's own `tmpcopyup`, are not the kernel's.
fn is_data(option: &str) -> bool {
    let key = option.split('=').next().unwrap_or_default();
    ["mode", "size", "uid", "gid", "nr_inodes", "nr_blocks", "newinstance", "ptmxmode", "max", "hidepid", "subset"].contains(&key)
}

/// A path without empty parts, `.` and `..`, links not followed.
pub(super) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(destination: &str, kind: &str, options: &[&str]) -> Result<MountPlan, String> {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mount = spec::Mount { destination: destination.into(), kind: kind.into(), source: "/src".into(), options };
        MountPlan::parse(&mount).map_err(|error| error.to_string())
    }

    #[test]
    fn a_volume_is_bound_and_made_read_only_in_a_second_step() {
        let volume = parse("/data", "bind", &["rbind", "rprivate", "ro"]).unwrap();
        assert_eq!(volume.kind, Kind::Bind { source: "/src".into(), recursive: true, remount: true });
        assert!(volume.is_read_only());
        assert_eq!(volume.propagation, [MountPropagationFlags::PRIVATE | MountPropagationFlags::REC]);
        let writable = parse("/data", "bind", &["rbind", "rw"]).unwrap();
        assert_eq!(writable.kind, Kind::Bind { source: "/src".into(), recursive: true, remount: false });
    }

    #[test]
    fn flags_and_data_of_a_file_system_are_told_apart() {
        let dev = parse("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]).unwrap();
        assert_eq!(dev.flags, MountFlags::NOSUID | MountFlags::STRICTATIME);
        let Kind::FileSystem { data, .. } = dev.kind else { panic!("{dev:?}") };
        assert_eq!(data, "mode=755,size=65536k");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (destination, kind, options, named) in [
            ("/data", "bind", &["rbind", "rro"][..], "mount /data: option \"rro\""),
            ("/data", "bind", &["rbind", "idmap"], "option \"idmap\""),
            ("/tmp", "tmpfs", &["tmpcopyup"], "option \"tmpcopyup\""),
            ("/tmp", "tmpfs", &["rshared"], "propagation"),
            ("/tmp", "overlay", &[], "type \"overlay\""),
            ("/sys/../proc/./sys", "bind", &["bind"], "it lies in /proc"),
            ("data", "bind", &["bind"], "not absolute"),
        ] {
            let error = parse(destination, kind, options).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
