//! Calls of the kernel that no library wraps safely. The one file of the shim with `unsafe`.
#![expect(unsafe_code, reason = "raw calls of the kernel, each with its reason below")]

use std::{
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use libc::{c_int, c_long, c_ulong, c_void};

/// Makes `config.json`'s kinds of namespaces.
pub(super) const NEW_MOUNT: c_int = libc::CLONE_NEWNS;
pub(super) const NEW_PID: c_int = libc::CLONE_NEWPID;
pub(super) const NEW_NETWORK: c_int = libc::CLONE_NEWNET;
pub(super) const NEW_IPC: c_int = libc::CLONE_NEWIPC;
pub(super) const NEW_UTS: c_int = libc::CLONE_NEWUTS;
pub(super) const NEW_CGROUP: c_int = libc::CLONE_NEWCGROUP;

/// `CLONE_INTO_CGROUP`, which is wider than the type of the other flags.
const INTO_CGROUP: u64 = 0x2_0000_0000;
/// `KEYCTL_JOIN_SESSION_KEYRING`.
const JOIN_SESSION_KEYRING: c_int = 1;

/// Of `linux/bpf.h`: commands of bpf(2), a kind of program, the place for it in a cgroup.
const BPF_PROG_LOAD: c_int = 5;
const BPF_PROG_ATTACH: c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// Who returns from [`fork`].
pub(super) enum Forked {
    /// The caller; the child's process id in the caller's namespace.
    Parent(i32),
    Child,
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks into new namespaces, and into a cgroup of version 2. The child's parent is this process's own parent, so that
/// it is there that its exit is told.
pub(super) fn fork(namespaces: c_int, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    // Not named in full: its fields are integers, and libc may add some.
    // SAFETY: all zeroes is a valid value of a struct of integers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    // No exit signal: with CLONE_PARENT it is the one of this process.
    args.flags = u64::from((namespaces | libc::CLONE_PARENT).cast_unsigned());
    if let Some(cgroup) = cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: as fork(2), since no stack and no CLONE_VM is given: the child has a copy of all memory. The launcher has
    // one thread (see `launcher.rs`), so no lock is held by a thread that the child would lack.
    match check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(i32::try_from(pid).unwrap_or(0))),
    }
}

/// Leaves the cgroup namespace for one whose root is the present cgroup.
pub(super) fn unshare_cgroup_namespace() -> io::Result<()> {
    // SAFETY: only CLONE_FILES and CLONE_FS of unshare(2) touch what Rust relies on.
    check(unsafe { libc::unshare(NEW_CGROUP) }.into()).map(drop)
}

/// Gives the process a session keyring of its own, so that it sees none of containerd's.
pub(super) fn new_session_keyring() -> io::Result<()> {
    // SAFETY: a null name is an anonymous keyring; nothing is written.
    let joined = check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<c_void>()) });
    match joined {
        // A kernel without keyrings has none to hide.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        joined => joined.map(drop),
    }
}

/// An instruction of the kernel's BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    pub(super) code: u8,
    /// The one that is written in the lower half, the one that is read in the upper.
    pub(super) registers: u8,
    /// Of memory, in bytes, or of a jump, in instructions.
    pub(super) offset: i16,
    pub(super) value: i32,
}

/// The part of `union bpf_attr` that loads a program.
#[repr(C)]
struct ProgramToLoad {
    kind: u32,
    instructions: u32,
    first: u64,
    license: u64,
}

/// The part of `union bpf_attr` that attaches one.
#[repr(C)]
struct ProgramToAttach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Gives the kernel a program that decides about devices.
pub(super) fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let load = ProgramToLoad {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        instructions: u32::try_from(program.len()).map_err(io::Error::other)?,
        first: program.as_ptr().expose_provenance() as u64,
        // It uses no function of the kernel's that is for some licenses only.
        license: c"Apache-2.0".as_ptr().expose_provenance() as u64,
    };
    // SAFETY: the kernel reads the struct, which starts as its own does and ends where its size says, as many instructions as
    // the slice has, and the text up to its NUL; it writes nothing.
    let descriptor = check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<ProgramToLoad>()) })?;
    let descriptor = c_int::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: it was opened just now, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Lets it decide for a cgroup of version 2, beside programs of the cgroups above: all of them have to say yes.
pub(super) fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attach = ProgramToAttach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the kernel reads the struct, which starts as its own does and ends where its size says, and writes nothing.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attach, size_of::<ProgramToAttach>()) }).map(drop)
}

/// Installs a seccomp filter for this thread and what it becomes.
pub(super) fn install_seccomp(filter: &[seccompiler::sock_filter], flags: c_ulong) -> io::Result<()> {
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // The two types have the same layout, that of the kernel's; libc's has the pointer's type that its struct asks for.
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel copies `len` instructions from the slice, which outlives the call, and writes nothing.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) }).map(drop)
}

/// Sees to it that no descriptor but the first three outlives the exec, whoever opened it.
pub(super) fn close_on_exec() -> io::Result<()> {
    // SAFETY: it marks descriptors and closes none.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Lets what a command runs have a descriptor under a number of our choice. What is returned is to be kept until it is spawned:
/// it keeps the number from being taken by the pipe over which a failed exec is told.
pub(crate) fn hand_on(command: &mut Command, descriptor: OwnedFd, number: c_int) -> io::Result<OwnedFd> {
    let held = rustix::io::fcntl_dupfd_cloexec(&descriptor, number)?;
    // SAFETY: between fork and exec it makes one call of the kernel, and neither allocates nor locks.
    unsafe { command.pre_exec(move || place(&descriptor, number)) };
    Ok(held)
}

/// Gives a descriptor another number, under which it outlives an exec. Whatever had that number is closed.
pub(super) fn place(descriptor: &OwnedFd, number: c_int) -> io::Result<()> {
    let present = descriptor.as_raw_fd();
    let placed = if present == number {
        // SAFETY: no memory is involved, and the descriptor stays what it is.
        unsafe { libc::fcntl(present, libc::F_SETFD, 0) }
    } else {
        // SAFETY: no memory is involved; what is closed belongs to nobody who still uses it, as the callers see to.
        unsafe { libc::dup2(present, number) }
    };
    check(placed.into()).map(drop)
}

/// An event counter that never blocks.
pub(crate) fn event_counter() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    let descriptor = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }.into())?;
    let descriptor = c_int::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: it was opened just now, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Gives every signal its default meaning: what containerd's own parent ignores, the program would ignore for ever.
pub(super) fn default_signals() {
    for signal in 1..32 {
        // SAFETY: no handler is installed. The two that cannot be changed (SIGKILL, SIGSTOP) are refused, and need none.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Sends any signal, real-time ones too, for which rustix has no safe name.
pub(super) fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}
