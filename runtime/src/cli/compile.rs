//! `perigee compile`: a module's code, for the cache of a node. The shim starts it: it links no compiler itself.
//!
//! The module is hostile. So before a byte of it is read, this process joins a cgroup of the pod that pays for it, and
//! gives up what it could do harm with: it reads its standard input and writes its standard output, and no more.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use perigee_runtime::{Compiler, ProgramError};

use super::run::complain;
use super::session::CANNOT_RUN;

/// Exit code of what is not the module's fault: that it is compiled elsewhere may go well.
const FAILED: u8 = 1;
/// User and group `nobody`.
const NOBODY: u32 = 65_534;
/// Address space. Cranelift takes some 100 times a module's size at worst; the pod's cgroup bounds what is really used.
const ADDRESS_SPACE: u64 = 16 << 30;
/// Processor time in seconds. The shim gives up earlier, unless it died.
const CPU_SECONDS: u64 = 120;
/// Files: the three streams, and what the standard library looks up about the machine.
const FILES: u64 = 32;

/// Compile a module to the code that this machine runs (used by containerd-shim-perigee-v1).
///
/// The module comes from standard input, the code goes to standard output.
#[derive(clap::Args)]
pub(super) struct Compile {
    /// What messages call the module
    #[arg(long, value_name = "NAME", default_value = "standard input")]
    name: String,
    /// Print what the code depends on besides the module, and compile nothing
    #[arg(long)]
    fingerprint: bool,
    /// Before reading: become the user nobody, with few resources
    #[arg(long)]
    confine: bool,
    /// Before reading: join a cgroup, by its file `cgroup.procs` or `tasks`
    #[arg(long = "cgroup", value_name = "FILE")]
    cgroups: Vec<PathBuf>,
    /// Most bytes of the code
    #[arg(long, value_name = "BYTES", default_value_t = u64::MAX)]
    most: u64,
}

impl Compile {
    pub(super) fn execute(self) -> ExitCode {
        match self.compile() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let code = if error.is::<ProgramError>() { CANNOT_RUN } else { FAILED };
                complain(&format!("{error:#}"), code)
            }
        }
    }

    fn compile(self) -> anyhow::Result<()> {
        for cgroup in &self.cgroups {
            std::fs::write(cgroup, "0").with_context(|| format!("joining the pod's cgroup by {}", cgroup.display()))?;
        }
        if self.confine {
            confine(self.most).context("giving up privileges")?;
        }
        let compiler = Compiler::new().map_err(anyhow::Error::from).context("no compiler for this machine")?;
        let mut stdout = std::io::stdout().lock();
        if self.fingerprint {
            return writeln!(stdout, "{}", compiler.fingerprint()).context("standard output");
        }
        let mut module = Vec::new();
        std::io::stdin().lock().take(perigee_cache::MAX_MODULE + 1).read_to_end(&mut module).context("standard input")?;
        let size = module.len() as u64;
        ensure!(size <= perigee_cache::MAX_MODULE, "{}: it has more than {} bytes", self.name, perigee_cache::MAX_MODULE);
        let code = compiler.compile(&self.name, &module)?;
        ensure!(code.len() as u64 <= self.most, "{}: its code has {} bytes, more than {}", self.name, code.len(), self.most);
        stdout.write_all(&code).and_then(|()| stdout.flush()).with_context(|| format!("{}: writing its code", self.name))
    }
}

/// Gives up what compiling does not need. There is one thread still, so that what is said of it holds for all.
fn confine(most: u64) -> anyhow::Result<()> {
    // The shim is not to be killed for want of memory, and its children inherit that.
    std::fs::write("/proc/self/oom_score_adj", "1000").context("/proc/self/oom_score_adj")?;
    let limits = [
        (Resource::RLIMIT_AS, ADDRESS_SPACE),
        (Resource::RLIMIT_CPU, CPU_SECONDS),
        (Resource::RLIMIT_FSIZE, most),
        (Resource::RLIMIT_NOFILE, FILES),
        (Resource::RLIMIT_CORE, 0),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, limit, limit).context("a limit")?;
    }
    if Uid::effective().is_root() {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        setgroups(&[]).context("groups")?;
        setresgid(group, group, group).context("group")?;
        setresuid(user, user, user).context("user")?;
    }
    prctl::set_no_new_privs().context("no new privileges")?;
    prctl::set_dumpable(false).context("not dumpable")?;
    // Without the shim nobody takes the code. After the change of user, which undoes it.
    prctl::set_pdeathsig(Signal::SIGKILL).context("end with the parent")?;
    Ok(())
}
