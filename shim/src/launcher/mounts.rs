//! Makes the container's view of files: mounts, devices, and the root file system as `/`.
//!
//! In its own mount namespace, so the host sees nothing of it. See `rootfs.rs` for how destinations are found.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, StatVfsMountFlags, Uid, chownat, fstat, fstatfs, fstatvfs, mkdirat, mknodat,
        openat, symlinkat, unlinkat,
    },
    io::Errno,
    mount::{
        MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, mount_remount,
        move_mount, open_tree, unmount,
    },
};

use super::{
    cgroup::{Cgroup, Folder},
    failure::{Failure, failed},
    mount::{Kind, MountPlan, normal},
    plan::Plan,
    rootfs::{Rootfs, Shape, is_kind, path_of},
    spec::Device,
};

/// `f_type` of procfs.
const PROC: i64 = 0x9fa0;
/// Flags of the file systems that the launcher adds itself.
const PLAIN: MountFlags = MountFlags::NOEXEC.union(MountFlags::NOSUID).union(MountFlags::NODEV);
/// In every `/dev`: name and target.
const LINKS: [(&str, &str); 4] =
    [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")];

/// Makes all of it, and changes into it: the caller's `/` is the container's afterwards.
///
/// The change comes last, so that the paths below /proc/self used here are the host's, which no image can fake.
pub(super) fn enter(plan: &Plan, cgroup: &Cgroup) -> Result<Rootfs, Failure> {
    let path = fs::canonicalize(&plan.root).map_err(failed(format!("no root file system {}", plan.root.display())))?;
    let prepare = || {
        mount_change("/", plan.propagation)?;
        // A mount of its own, which can become `/`.
        mount_bind_recursive(&path, &path)?;
        Rootfs::open(&path)
    };
    let root = prepare().map_err(failed(format!("cannot prepare the root file system {}", path.display())))?;
    for one in &plan.mounts {
        let doing = || format!("cannot mount {} at {}", describe(one), one.destination);
        mount_one(&root, one, plan, cgroup).map_err(|error| failed(doing())(error))?;
    }
    if !plan.brings_own_dev() {
        make_devices(&root, &plan.devices)?;
    }
    root.make(&plan.process.cwd, Shape::Folder).map_err(failed(format!("no working directory {}", plan.process.cwd)))?;
    for one in plan.mounts.iter().filter(|one| is_late_read_only(one)) {
        let made = root.find(&one.destination).and_then(|mount| make_read_only(&mount));
        made.map_err(failed(format!("cannot make {} read-only", one.destination)))?;
    }
    protect(&root, plan)?;
    pivot(&root).map_err(failed("cannot change into the root file system"))?;
    Ok(root)
}

fn describe(one: &MountPlan) -> String {
    match &one.kind {
        Kind::Bind { source, .. } => source.display().to_string(),
        Kind::FileSystem { name, .. } => name.clone(),
        Kind::Cgroup => "the cgroups".to_owned(),
    }
}

/// A ramdisk is filled with mount points before it becomes read-only.
fn is_late_read_only(one: &MountPlan) -> bool {
    one.is_read_only() && matches!(&one.kind, Kind::FileSystem { name, .. } if name == "tmpfs")
}

fn mount_one(root: &Rootfs, one: &MountPlan, plan: &Plan, cgroup: &Cgroup) -> io::Result<()> {
    match &one.kind {
        Kind::Bind { source, recursive, remount } => {
            let tree = clone_tree(source, *recursive)?;
            let shape = if is_kind(&tree, FileType::Directory)? { Shape::Folder } else { Shape::File };
            let (target, _) = root.make(&one.destination, shape)?;
            if fstatfs(&target)?.f_type == PROC {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the destination leads into /proc"));
            }
            attach(&tree, &target)?;
            if *remount {
                mount_remount(path_of(&tree), MountFlags::BIND | one.flags, "")?;
            }
            for &propagation in &one.propagation {
                mount_change(path_of(&tree), propagation)?;
            }
            Ok(())
        }
        Kind::FileSystem { name, source, data } => {
            let (mut target, existed) = root.make(&one.destination, Shape::Folder)?;
            // These two in their own place only: what reads them relies on that.
            if matches!(name.as_str(), "proc" | "sysfs") {
                target = root.find_without_links(&normal(&one.destination))?;
            }
            let mode = Mode::from_raw_mode(fstat(&target)?.st_mode & 0o7777);
            let late = if is_late_read_only(one) { MountFlags::RDONLY } else { MountFlags::empty() };
            let data = std::ffi::CString::new(data.as_str())?;
            mount(source, path_of(&target), name, one.flags - late, data.as_c_str())?;
            if name == "tmpfs" && existed {
                // As the folder in the image has it.
                rustix::fs::chmod(path_of(&root.find(&one.destination)?), mode)?;
            }
            Ok(())
        }
        Kind::Cgroup => mount_cgroups(root, one, plan.namespaces.new_cgroup, cgroup),
    }
}

/// A copy of a mount or of a part of one, not yet attached anywhere.
fn clone_tree(source: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    Ok(open_tree(CWD, source, flags)?)
}

fn attach(tree: &OwnedFd, target: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, "", target, "", flags)?)
}

/// Makes a mount read-only and keeps its other flags.
fn make_read_only(mount: &(impl AsFd + AsRawFd)) -> io::Result<()> {
    let now = fstatvfs(mount)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (is, flag) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        flags.set(flag, now.contains(is));
    }
    Ok(mount_remount(path_of(mount), flags, "")?)
}

/// The container's own cgroups below one folder, as the host has them.
fn mount_cgroups(root: &Rootfs, one: &MountPlan, in_namespace: bool, cgroup: &Cgroup) -> io::Result<()> {
    let (target, _) = root.make(&one.destination, Shape::Folder)?;
    let Cgroup::V1(folders) = cgroup else {
        return Ok(mount("cgroup", path_of(&target), "cgroup2", one.flags, None)?);
    };
    mount("tmpfs", path_of(&target), "tmpfs", PLAIN, c"mode=755")?;
    let top = root.find(&one.destination)?;
    for Folder { hierarchy, path } in folders.iter().filter(|folder| !folder.is_unified()) {
        let name = hierarchy.mount.file_name().and_then(|name| name.to_str()).ok_or(Errno::INVAL)?;
        mkdirat(&top, name, Mode::from_raw_mode(0o755))?;
        let place = openat(&top, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        if in_namespace {
            let read_only = one.flags & MountFlags::RDONLY;
            let controllers = std::ffi::CString::new(hierarchy.controllers.join(","))?;
            // The names that tools look for.
            let source = if name == "systemd" { "systemd" } else { "cgroup" };
            mount(source, path_of(&place), "cgroup", PLAIN | read_only, controllers.as_c_str())?;
        } else {
            let tree = clone_tree(path, true)?;
            attach(&tree, &place)?;
            mount_remount(path_of(&tree), MountFlags::BIND | one.flags, "")?;
        }
        for controller in hierarchy.controllers.iter().filter(|one| hierarchy.controllers.len() > 1 && one.as_str() != name) {
            symlinkat(name, &top, controller)?;
        }
    }
    if one.is_read_only() {
        mount_remount(path_of(&top), MountFlags::BIND | PLAIN | MountFlags::RDONLY, "")?;
    }
    Ok(())
}

fn make_devices(root: &Rootfs, devices: &[Device]) -> Result<(), Failure> {
    for device in devices {
        make_device(root, device).map_err(failed(format!("cannot make the device {}", device.path)))?;
    }
    let link = || {
        let (dev, _) = root.make("/dev", Shape::Folder)?;
        match unlinkat(&dev, "ptmx", AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            removed => removed?,
        }
        symlinkat("pts/ptmx", &dev, "ptmx")?;
        let core = Path::new("/proc/kcore").exists().then_some(("core", "/proc/kcore"));
        for (name, target) in LINKS.into_iter().chain(core) {
            match symlinkat(target, &dev, name) {
                Err(Errno::EXIST) => {}
                linked => linked?,
            }
        }
        Ok::<_, io::Error>(())
    };
    link().map_err(failed("cannot make the links in /dev"))
}

fn make_device(root: &Rootfs, device: &Device) -> io::Result<()> {
    let path = normal(&device.path);
    let (folder, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
    let (folder, _) = root.make(if folder.is_empty() { "/" } else { folder }, Shape::Folder)?;
    let kind = match device.kind.as_str() {
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        _ => FileType::CharacterDevice,
    };
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
    match mknodat(&folder, name, kind, mode, rustix::fs::makedev(device.major, device.minor)) {
        // The image's own, which the cgroup allows or not.
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    Ok(chownat(&folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Makes the root file system `/`, and lets go of the old one.
fn pivot(root: &Rootfs) -> io::Result<()> {
    let old = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::fchdir(root.as_fd())?;
    // Of two mounts at one place, the old root is the upper one.
    rustix::process::pivot_root(".", ".")?;
    rustix::process::fchdir(&old)?;
    mount_change(".", rustix::mount::MountPropagationFlags::DOWNSTREAM | rustix::mount::MountPropagationFlags::REC)?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// The last steps: what is only read, and what is hidden.
fn protect(root: &Rootfs, plan: &Plan) -> Result<(), Failure> {
    for path in &plan.readonly {
        skip_missing(read_only_path(root, path)).map_err(failed(format!("cannot make {path} read-only")))?;
    }
    for path in &plan.masked {
        skip_missing(mask(root, path)).map_err(failed(format!("cannot mask {path}")))?;
    }
    if plan.readonly_root {
        make_read_only(&root.as_fd()).map_err(failed("cannot make the root file system read-only"))?;
    }
    Ok(())
}

fn skip_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        done => done,
    }
}

fn read_only_path(root: &Rootfs, path: &str) -> io::Result<()> {
    let place = root.find(path)?;
    let tree = clone_fd(&place)?;
    attach(&tree, &place)?;
    make_read_only(&tree)
}

fn mask(root: &Rootfs, path: &str) -> io::Result<()> {
    let place = root.find(path)?;
    if is_kind(&place, FileType::Directory)? {
        return Ok(mount("tmpfs", path_of(&place), "tmpfs", MountFlags::RDONLY, None)?);
    }
    // Whatever else lies there could be read through the mask.
    let null = root.find("/dev/null")?;
    let stat = fstat(&null)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || stat.st_rdev != rustix::fs::makedev(1, 3) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "/dev/null is another file in the container"));
    }
    attach(&clone_fd(&null)?, &place)
}

fn clone_fd(file: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(file, "", flags)?)
}
