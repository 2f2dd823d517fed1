//! The states of a process, and which call is allowed in which. Pure.
//!
//! ```text
//! Created --start--> Running <--pause/resume--> Paused
//!    |                  |                          |
//!    +------exit--------+-----------exit-----------+--> Stopped
//! ```
//! A process is deleted when it is `Stopped`, or `Created` and will never run.

use containerd_shim::api::Status;

use crate::exit::Exit;

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Set up, its program not yet running. An exec that was only announced is here too.
    Created,
    /// Its program runs.
    Running,
    /// Frozen in its cgroup.
    Paused,
    /// Ended, and reaped.
    Stopped(Exit),
}

/// A call that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {call} a {state} process")]
pub(crate) struct Refused {
    call: &'static str,
    state: &'static str,
}

impl State {
    pub(crate) fn start(self) -> Result<Self, Refused> {
        match self {
            Self::Created => Ok(Self::Running),
            other => Err(other.refuse("start")),
        }
    }

    pub(crate) fn pause(self) -> Result<Self, Refused> {
        match self {
            Self::Running => Ok(Self::Paused),
            other => Err(other.refuse("pause")),
        }
    }

    pub(crate) fn resume(self) -> Result<Self, Refused> {
        match self {
            Self::Paused => Ok(Self::Running),
            other => Err(other.refuse("resume")),
        }
    }

    /// Changes limits, as containerd's own shim does it: of what is not there any more, not.
    pub(crate) fn update(self) -> Result<(), Refused> {
        match self {
            Self::Stopped(_) => Err(self.refuse("update")),
            _ => Ok(()),
        }
    }

    /// Announces a further process.
    pub(crate) fn exec(self) -> Result<(), Refused> {
        match self {
            Self::Created | Self::Running => Ok(()),
            other => Err(other.refuse("exec in")),
        }
    }

    /// Changes the size of its terminal. Of an executed process only.
    pub(crate) fn resize(self) -> Result<(), Refused> {
        match self {
            Self::Stopped(_) => Err(self.refuse("resize")),
            _ => Ok(()),
        }
    }

    pub(crate) fn delete(self) -> Result<(), Refused> {
        match self {
            Self::Created | Self::Stopped(_) => Ok(()),
            other => Err(other.refuse("delete")),
        }
    }

    /// The end, which any state may come to; a second one changes nothing.
    pub(crate) fn stop(self, exit: Exit) -> Self {
        match self {
            Self::Stopped(_) => self,
            _ => Self::Stopped(exit),
        }
    }

    pub(crate) fn exit(self) -> Option<Exit> {
        match self {
            Self::Stopped(exit) => Some(exit),
            _ => None,
        }
    }

    pub(crate) fn status(self) -> Status {
        match self {
            Self::Created => Status::CREATED,
            Self::Running => Status::RUNNING,
            Self::Paused => Status::PAUSED,
            Self::Stopped(_) => Status::STOPPED,
        }
    }

    fn refuse(self, call: &'static str) -> Refused {
        let state = match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped(_) => "stopped",
        };
        Refused { call, state }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn stopped(status: u32) -> State {
        State::Stopped(Exit { status, at: UNIX_EPOCH })
    }

    #[test]
    fn each_call_is_allowed_in_its_states_only() {
        let all = [State::Created, State::Running, State::Paused, stopped(0)];
        let allowed =
            |call: fn(State) -> bool| all.iter().copied().filter(|state| call(*state)).map(State::status).collect::<Vec<_>>();
        assert_eq!(allowed(|state| state.start().is_ok()), [Status::CREATED]);
        assert_eq!(allowed(|state| state.pause().is_ok()), [Status::RUNNING]);
        assert_eq!(allowed(|state| state.resume().is_ok()), [Status::PAUSED]);
        assert_eq!(allowed(|state| state.delete().is_ok()), [Status::CREATED, Status::STOPPED]);
        assert_eq!(allowed(|state| state.exec().is_ok()), [Status::CREATED, Status::RUNNING]);
        assert_eq!(allowed(|state| state.update().is_ok()), [Status::CREATED, Status::RUNNING, Status::PAUSED]);
        assert_eq!(allowed(|state| state.resize().is_ok()), [Status::CREATED, Status::RUNNING, Status::PAUSED]);
    }

    #[test]
    fn the_first_exit_is_the_one_that_counts() {
        let exit = Exit { status: 7, at: UNIX_EPOCH };
        assert_eq!(State::Created.stop(exit), stopped(7));
        assert_eq!(State::Paused.stop(exit), stopped(7));
        assert_eq!(stopped(3).stop(exit), stopped(3));
    }

    #[test]
    fn a_refusal_names_the_call_and_the_state() {
        assert_eq!(State::Running.delete().unwrap_err().to_string(), "cannot delete a running process");
    }
}
