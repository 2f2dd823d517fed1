//! The launcher's process: the shim's own binary, started anew, with one thread.
//!
//! ```text
//! shim --exec--> launcher   makes the cgroup, joins the pod's namespaces, forks, ends
//!                   `-----> first process   joins the cgroup, makes the mounts, becomes the user, waits, executes
//! ```
//! A process of its own, because joining namespaces would change the shim, and because after a fork of the shim, which
//! has more threads, hardly anything would be allowed. Whatever fails is said in words over the control socket.

use std::{
    convert::Infallible,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Command, ExitCode},
};

use rustix::{
    process::DumpableBehavior,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    cgroup::{Cgroup, Hierarchies},
    control::Control,
    failure::{Failure, failed},
    mounts,
    plan::{Namespaces, Plan},
    process, seccomp,
    sys::{self, Forked},
};
use crate::control::WORKER_FD;

/// Runs in the bundle, with the control socket as stdin and the container's other streams in their place.
pub(crate) fn run() -> ExitCode {
    let Ok(control) = Control::from_stdin() else { return ExitCode::FAILURE };
    match launch(&control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            control.fail(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Returns in the launcher; in the first process only when it fails.
fn launch(control: &Control) -> Result<(), Failure> {
    // Nobody in a namespace that is joined below may look into this process, or at its binary.
    let hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    hidden.map_err(failed("cannot hide the launcher"))?;
    sys::close_on_exec().map_err(failed("cannot close descriptors"))?;
    let (stdin, listener) = control.receive_descriptors().map_err(failed("the container's stdin"))?;
    let plan = read_plan()?;
    let hierarchies = Hierarchies::of_host().map_err(failed("cannot find the host's cgroups"))?;
    let cgroup = Cgroup::new(&hierarchies, &plan.cgroup);
    cgroup.create(&plan.device_rules, &plan.resources)?;
    let birthplace = cgroup.birthplace()?;
    join_namespaces(&plan.namespaces)?;
    let forked = sys::fork(plan.namespaces.new, birthplace.as_ref().map(AsFd::as_fd));
    match forked.map_err(failed("cannot fork into new namespaces"))? {
        Forked::Parent(pid) => control.born(pid),
        Forked::Child => match first_process(plan, &cgroup, control, &stdin, listener.as_ref()) {
            Err(failure) => Err(failure),
            Ok(never) => match never {},
        },
    }
}

fn read_plan() -> Result<Plan, Failure> {
    let doing = "config.json";
    let text = fs::read("config.json").map_err(failed(doing))?;
    let config = serde_json::from_slice(&text).map_err(failed(doing))?;
    // The shim asked the same function before.
    Plan::of(&config).map_err(|reason| failed(doing)(io::Error::other(reason)))
}

fn join_namespaces(namespaces: &Namespaces) -> Result<(), Failure> {
    for (flag, path) in &namespaces.join {
        let kind = match *flag {
            sys::NEW_PID => LinkNameSpaceType::ProcessID,
            sys::NEW_NETWORK => LinkNameSpaceType::Network,
            sys::NEW_IPC => LinkNameSpaceType::InterProcessCommunication,
            _ => LinkNameSpaceType::HostNameAndNISDomainName,
        };
        let join = || {
            let namespace = fs::File::open(path)?;
            io::Result::Ok(move_into_link_name_space(namespace.as_fd(), Some(kind))?)
        };
        join().map_err(failed(format!("cannot join the namespace {}", path.display())))?;
    }
    Ok(())
}

/// The container's first process, up to the program that it becomes.
fn first_process(
    mut plan: Plan,
    cgroup: &Cgroup,
    control: &Control,
    stdin: &OwnedFd,
    listener: Option<&OwnedFd>,
) -> Result<Infallible, Failure> {
    cgroup.join()?;
    if plan.namespaces.new_cgroup {
        sys::unshare_cgroup_namespace().map_err(failed("cannot make a cgroup namespace"))?;
    }
    rustix::process::setsid().map_err(failed("cannot make a session"))?;
    sys::new_session_keyring().map_err(failed("cannot make a session keyring"))?;
    // Modes of what is made are those that are asked for.
    rustix::process::umask(rustix::fs::Mode::empty());
    process::limit(&plan.process)?;
    if !plan.hostname.is_empty() {
        let named = rustix::system::sethostname(plan.hostname.as_bytes());
        named.map_err(failed(format!("cannot set the hostname {}", plan.hostname)))?;
    }
    for (name, value) in &plan.sysctls {
        // The host's /proc shows each process the values of its own namespaces.
        let set = fs::write(Path::new("/proc/sys").join(name), value);
        set.map_err(failed(format!("cannot set the sysctl {name} to {value:?}")))?;
    }
    let root = mounts::enter(&plan, cgroup)?;
    rustix::stdio::dup2_stdin(stdin).map_err(failed("the container's stdin"))?;
    process::own_streams(plan.process.uid)?;
    process::check_program(&plan.process.args[0], &root)?;
    let env = process::environment(&mut plan.process, &root);
    // Nothing that leads out of the container is open from here on.
    drop(root);
    if let Some(listener) = listener {
        // Of what is open here, only the control socket of the launcher is still needed, which has another number.
        sys::place(listener, WORKER_FD).map_err(failed("cannot hand on the worker's control socket"))?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(plan.process.umask));
    let install = || plan.seccomp.as_ref().map_or(Ok(()), seccomp::install).map_err(failed("cannot install the seccomp profile"));
    if plan.process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).map_err(failed("cannot set no_new_privs"))?;
    } else {
        // It takes a capability that goes with the next step.
        install()?;
    }
    let entered = process::enter_folder(&plan.process, true)?;
    process::become_user(&plan.process)?;
    if !entered {
        process::enter_folder(&plan.process, false)?;
    }
    sys::default_signals();
    control.ready()?;
    if plan.process.no_new_privileges {
        install()?;
    }
    let [program, args @ ..] = plan.process.args.as_slice() else { return Err(no_program()) };
    let error = Command::new(program).args(args).env_clear().envs(env).exec();
    Err(failed(format!("cannot run {program}"))(error))
}

fn no_program() -> Failure {
    failed("the container's program")(io::Error::from(io::ErrorKind::NotFound))
}
