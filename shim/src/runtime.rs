//! Who makes a container, and so who is asked about it later: `runc`, or the shim's own launcher.

use std::path::Path;

use crate::{
    container::Kind,
    launcher::{Launcher, LauncherError},
    options::RuntimeOptions,
    reaper::Reaper,
    runc::{Runc, RuncError, Streams},
};

/// The maker of one container.
#[derive(Clone)]
pub(crate) enum Runtime {
    Runc(Runc),
    Launcher(Launcher),
}

/// What it has to say about a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error(transparent)]
    Runc(#[from] RuncError),
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    #[error("a process beside the worker is not implemented by the perigee runtime")]
    NoExec,
}

impl RuntimeError {
    /// Whether it says that the process is gone: for a signal that is no failure.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Runc(error) => error.is_gone(),
            Self::Launcher(error) => matches!(error, LauncherError::Gone),
            Self::NoExec => false,
        }
    }
}

impl Runtime {
    /// For a container that is to be made. Native ones are always left to runc.
    pub(crate) fn choose(
        kind: Kind,
        options: &RuntimeOptions,
        bundle: &crate::bundle::Bundle,
        runc: Runc,
        reaper: &Reaper,
    ) -> Self {
        if kind == Kind::Native {
            return Self::Runc(runc);
        }
        // As it was rewritten for the worker.
        let launcher = bundle
            .config()
            .map_err(|error| error.to_string())
            .and_then(|config| Launcher::choose(&config, options, bundle.path(), reaper).map_err(|reason| reason.to_string()));
        match launcher {
            Ok(launcher) => Self::Launcher(launcher),
            Err(reason) => {
                log::debug!("{} is left to runc: {reason}", bundle.path().display());
                Self::Runc(runc)
            }
        }
    }

    /// For a container that was made, or that somebody began to make.
    pub(crate) fn of_bundle(bundle: &Path, runc: Runc, reaper: &Reaper) -> Self {
        Launcher::of_bundle(bundle, reaper).map_or(Self::Runc(runc), Self::Launcher)
    }

    /// Makes the container; its process waits to be started. Its pid.
    pub(crate) async fn create(&self, console: Option<&Path>, streams: Streams) -> Result<i32, RuntimeError> {
        Ok(match self {
            Self::Runc(runc) => runc.create(console, streams).await?,
            Self::Launcher(launcher) => launcher.create(streams).await?,
        })
    }

    pub(crate) async fn start(&self) -> Result<(), RuntimeError> {
        match self {
            Self::Runc(runc) => runc.start().await?,
            Self::Launcher(launcher) => launcher.start().await?,
        }
        Ok(())
    }

    /// Starts one more process in the container, as the JSON file says. Its pid.
    pub(crate) async fn exec(
        &self,
        process: &Path,
        pid_file: &Path,
        console: Option<&Path>,
        streams: Streams,
    ) -> Result<i32, RuntimeError> {
        match self {
            Self::Runc(runc) => Ok(runc.exec(process, pid_file, console, streams).await?),
            Self::Launcher(_) => Err(RuntimeError::NoExec),
        }
    }

    pub(crate) async fn kill_all(&self, signal: u32) -> Result<(), RuntimeError> {
        match self {
            Self::Runc(runc) => runc.kill_all(signal).await?,
            Self::Launcher(launcher) => launcher.kill_all(signal).await?,
        }
        Ok(())
    }

    /// Sends a signal to the first process, whose pid the caller knows.
    pub(crate) async fn kill(&self, pid: u32, signal: u32) -> Result<(), RuntimeError> {
        match self {
            Self::Runc(runc) => runc.kill(signal).await?,
            Self::Launcher(launcher) => launcher.kill(pid, signal).await?,
        }
        Ok(())
    }

    /// Kills what is left and removes the container. One that does not exist is no failure.
    pub(crate) async fn delete(&self) -> Result<(), RuntimeError> {
        match self {
            Self::Runc(runc) => runc.delete().await?,
            Self::Launcher(launcher) => launcher.delete().await?,
        }
        Ok(())
    }

    pub(crate) async fn pause(&self) -> Result<(), RuntimeError> {
        match self {
            Self::Runc(runc) => runc.pause().await?,
            Self::Launcher(launcher) => launcher.pause().await?,
        }
        Ok(())
    }

    pub(crate) async fn resume(&self) -> Result<(), RuntimeError> {
        match self {
            Self::Runc(runc) => runc.resume().await?,
            Self::Launcher(launcher) => launcher.resume().await?,
        }
        Ok(())
    }

    /// Changes limits to those of the file: `LinuxResources` of the OCI specification in JSON.
    pub(crate) async fn update(&self, resources: &Path) -> Result<(), RuntimeError> {
        match self {
            Self::Runc(runc) => runc.update(resources).await?,
            Self::Launcher(launcher) => launcher.update(resources)?,
        }
        Ok(())
    }

    /// The processes of the container, as pids of the host.
    pub(crate) async fn pids(&self) -> Result<Vec<u32>, RuntimeError> {
        Ok(match self {
            Self::Runc(runc) => runc.pids().await?,
            Self::Launcher(launcher) => launcher.pids(),
        })
    }
}
