//! `perigee worker`: the process of a container. The shim starts it; people use `perigee run`.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use perigee_runtime::{AppExit, HostValues};
use perigee_spec::annotation;

use super::code::Code;
use super::control::inherited;
use super::load;
use super::session::{CANNOT_RUN, Control, Outputs, Session};

/// What the kubelet keeps of a termination message (`MaxContainerTerminationMessageLength` in its source), in bytes.
const MAX_TERMINATION_MESSAGE: usize = 4096;

/// Run as the process of a container (used by containerd-shim-perigee-v1).
#[derive(clap::Args)]
pub(super) struct Worker {
    /// The app, as JSON in the form of the pod's annotation
    #[arg(long, value_name = "FILE")]
    app: PathBuf,
    /// The folder below which the modules of the classes are
    #[arg(long, value_name = "DIR", default_value = "/")]
    modules: PathBuf,
    /// A folder with compiled code that the shim prepared: a file for a class, by its name
    #[arg(long, value_name = "DIR")]
    code: Option<PathBuf>,
    /// Seconds in which connections may finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = perigee_runtime::GRACE.as_secs())]
    grace: u64,
    /// Number of a listening Unix socket that was inherited: who connects may look at the actors, and kill some
    #[arg(long, value_name = "NUMBER")]
    control_fd: Option<std::os::fd::RawFd>,
    /// Where the reason of a failure is written for the kubelet, if the file exists
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    termination_log: PathBuf,
}

impl Worker {
    pub(super) fn execute(self) -> ExitCode {
        // First of all: see there.
        let control = self.control_fd.map(inherited);
        let outputs = match Outputs::open() {
            Ok(outputs) => outputs,
            Err(error) => {
                report(&self.termination_log, &format!("{error:#}"));
                return ExitCode::from(CANNOT_RUN);
            }
        };
        let exit = self.session(control).and_then(|session| session.run(&outputs));
        let exit = exit.unwrap_or_else(|error| AppExit { code: CANNOT_RUN, message: Some(format!("{error:#}")) });
        if let Some(message) = &exit.message {
            tracing::error!("{message}");
            report(&self.termination_log, message);
        }
        outputs.flush();
        ExitCode::from(exit.code)
    }

    fn session(&self, control: Option<anyhow::Result<UnixListener>>) -> anyhow::Result<Session> {
        let text = std::fs::read_to_string(&self.app).with_context(|| format!("{} cannot be read", self.app.display()))?;
        let app = annotation::decode(&text)?;
        let modules = load::modules(&app, &self.modules)?;
        let host = HostValues { variables: std::env::vars().collect(), ..HostValues::default() };
        let code = self.code.clone().map_or(Code::Compile, Code::Mounted);
        let grace = std::time::Duration::from_secs(self.grace);
        let control = control.transpose()?.map_or(Control::None, Control::Inherited);
        Ok(Session { app, modules, host, code, grace, control })
    }
}

/// Leaves the reason where the kubelet reads it. Without that file there is the log.
fn report(path: &Path, message: &str) {
    let end = message.floor_char_boundary(MAX_TERMINATION_MESSAGE);
    let text = message.get(..end).unwrap_or_default();
    if path.exists()
        && let Err(error) = std::fs::write(path, text)
    {
        tracing::warn!("the termination message was not written to {}: {error}", path.display());
    }
}
