//! What a process is: user, groups, capabilities, limits, variables. The caller becomes it step by step.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
};

use rustix::{
    fs::{FileType, Gid, Mode, Uid, fchown, fstat, makedev},
    thread::{CapabilitySet, CapabilitySets},
};

use super::{
    failure::{Failure, failed},
    plan::{Capabilities, ProcessPlan},
    rootfs::Rootfs,
};

/// Bytes of the image's /etc/passwd that are looked at.
const MAX_PASSWD: u64 = 1 << 20;

/// Limits, which may need capabilities that the process gives up later. `/proc` is still the host's.
pub(super) fn limit(plan: &ProcessPlan) -> Result<(), Failure> {
    if let Some(adjustment) = plan.oom_score_adj {
        let written = std::fs::write("/proc/self/oom_score_adj", adjustment.to_string());
        written.map_err(failed(format!("cannot set oom_score_adj to {adjustment}")))?;
    }
    for (resource, limit) in &plan.rlimits {
        let set = rustix::process::setrlimit(*resource, *limit);
        set.map_err(failed(format!("cannot set the limit {resource:?} to {limit:?}")))?;
    }
    Ok(())
}

/// Gives the streams to the user, so that the process can open its own /dev/stdout.
pub(super) fn own_streams(uid: u32) -> Result<(), Failure> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let stat = fstat(stream).map_err(failed("cannot look at a stream"))?;
        let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3);
        if stat.st_uid != uid && !is_null {
            // Not every kind of file has an owner to be changed.
            fchown(stream, Some(Uid::from_raw(uid)), None).unwrap_or_default();
        }
    }
    Ok(())
}

/// Becomes the user, with its capabilities and no others.
pub(super) fn become_user(plan: &ProcessPlan) -> Result<(), Failure> {
    let capabilities = &plan.capabilities;
    drop_bounding(capabilities).map_err(failed("cannot drop capabilities from the bounding set"))?;
    let change = || {
        rustix::thread::set_keep_capabilities(true)?;
        let groups: Vec<Gid> = plan.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        rustix::thread::set_thread_groups(&groups)?;
        let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        rustix::thread::set_keep_capabilities(false)
    };
    change().map_err(failed(format!("cannot become the user {}:{}", plan.uid, plan.gid)))?;
    set_capabilities(capabilities).map_err(failed("cannot set the capabilities"))
}

fn drop_bounding(capabilities: &Capabilities) -> rustix::io::Result<()> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(one) {
            Ok(true) if !capabilities.bounding.contains(one) => rustix::thread::remove_capability_from_bounding_set(one)?,
            Ok(_) => {}
            // The kernel has no more of them.
            Err(rustix::io::Errno::INVAL) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn set_capabilities(capabilities: &Capabilities) -> rustix::io::Result<()> {
    let Capabilities { effective, permitted, inheritable, ambient, .. } = *capabilities;
    rustix::thread::set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?;
    rustix::thread::clear_ambient_capability_set()?;
    ambient.iter().try_for_each(|one| rustix::thread::configure_capability_in_ambient_set(one, true))
}

/// Changes into the working directory. Whether that is allowed may depend on who asks, so both are tried.
pub(super) fn enter_folder(plan: &ProcessPlan, as_root: bool) -> Result<bool, Failure> {
    match rustix::process::chdir(plan.cwd.as_str()) {
        Ok(()) => {}
        Err(_) if as_root => return Ok(false),
        Err(error) => return Err(failed(format!("cannot change into {}", plan.cwd))(error)),
    }
    // A folder that a link of the kernel's own leads to may lie outside of the container.
    let inside = rustix::process::getcwd(Vec::new()).is_ok_and(|path| path.as_bytes().starts_with(b"/"));
    match inside {
        true => Ok(true),
        false => {
            let outside = io::Error::new(io::ErrorKind::PermissionDenied, "it is outside of the container");
            Err(failed(format!("cannot change into {}", plan.cwd))(outside))
        }
    }
}

/// The environment, with a HOME as the image's /etc/passwd has it where nobody gave one.
pub(super) fn environment(plan: &mut ProcessPlan, root: &Rootfs) -> BTreeMap<String, String> {
    let mut env = std::mem::take(&mut plan.env);
    if env.get("HOME").is_none_or(String::is_empty) {
        let mut passwd = String::new();
        let read = root.open_regular("/etc/passwd").and_then(|file| file.take(MAX_PASSWD).read_to_string(&mut passwd));
        let home = read.ok().and_then(|_| home(&passwd, plan.uid));
        env.insert("HOME".to_owned(), home.unwrap_or("/").to_owned());
    }
    env
}

fn home(passwd: &str, uid: u32) -> Option<&str> {
    let users = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = users.into_iter().find(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(uid)))?;
    user.get(5).copied().filter(|home| !home.is_empty() && !home.contains('\0'))
}

/// Fails now where the exec would fail later.
pub(super) fn check_program(program: &str, root: &Rootfs) -> Result<(), Failure> {
    let check = || {
        let stat = fstat(root.find(program)?)?;
        let may_run = Mode::XUSR | Mode::XGRP | Mode::XOTH;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if Mode::from_raw_mode(stat.st_mode).intersects(may_run) => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        }
    };
    check().map_err(failed(format!("cannot run {}", Path::new(program).display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_that_of_the_user() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1000::/srv/app:/bin/sh\nnone:x:7:7:::\n";
        assert_eq!(home(passwd, 0), Some("/root"));
        assert_eq!(home(passwd, 1000), Some("/srv/app"));
        assert_eq!((home(passwd, 7), home(passwd, 8), home("", 0)), (None, None, None));
    }
}
