//! How a process ended, in the terms that Kubernetes shows: its exit code, or 128 + n when signal n ended it.

use std::time::{SystemTime, UNIX_EPOCH};

use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use rustix::process::WaitStatus;

/// What is reported for a process whose end nobody saw: the shim that waited for it died, and its leftovers were killed.
pub(crate) const KILLED: u32 = 128 + 9;

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// 0 to 255.
    pub(crate) status: u32,
    /// When the shim saw it.
    pub(crate) at: SystemTime,
}

impl Exit {
    /// One that is seen now.
    pub(crate) fn now(status: u32) -> Self {
        Self { status, at: SystemTime::now() }
    }

    /// `None` for a process that was stopped or continued, which is no end.
    pub(crate) fn from_wait(wait: WaitStatus) -> Option<Self> {
        let status = match (wait.exit_status(), wait.terminating_signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => return None,
        };
        Some(Self::now(u32::try_from(status).unwrap_or(KILLED)))
    }

    /// The time as containerd's messages have it.
    pub(crate) fn timestamp(&self) -> Timestamp {
        timestamp(self.at)
    }
}

/// A time as containerd's messages have it.
pub(crate) fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
        ..Timestamp::default()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, WaitOptions, waitpid};

    use super::*;

    fn status_of(script: &str) -> u32 {
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let (_, wait) = waitpid(Some(Pid::from_child(&child)), WaitOptions::empty()).unwrap().unwrap();
        child.wait().unwrap_err();
        Exit::from_wait(wait).unwrap().status
    }

    #[test]
    fn an_exit_code_is_kept_and_a_signal_is_added_to_128() {
        assert_eq!(status_of("exit 0"), 0);
        assert_eq!(status_of("exit 42"), 42);
        assert_eq!(status_of("exit 255"), 255);
        assert_eq!(status_of("kill -TERM $$"), 143);
        assert_eq!(status_of("kill -KILL $$"), KILLED);
    }
}
