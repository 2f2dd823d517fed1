//! Why an actor ended, and the exit code that this means for a process.

use std::fmt;
use std::sync::Arc;

use super::ActorId;

/// Why an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// Its entry function returned, or it exited with 0.
    Normal,
    /// It exited with this code, which is not 0.
    Exited(i32),
    /// It trapped, or broke a rule of the ABI that it uses.
    Trap(String),
    /// It was refused memory beyond its limit, and gave up.
    OutOfMemory {
        /// Its limit in bytes.
        limit: u64,
        /// What it would have had, in bytes.
        wanted: u64,
    },
    /// It sent to itself when its own mailbox was full, which nobody else could ever have emptied.
    MailboxFull,
    /// It was killed.
    Killed,
    /// An actor that it is linked to ended abnormally.
    LinkDied {
        /// That actor.
        id: ActorId,
        /// Why that one ended. `None`: it did not exist when the link was made.
        cause: Option<Arc<ExitReason>>,
        /// What that one said last.
        last_words: Option<Arc<str>>,
    },
    /// A defect of the host, not of the actor.
    HostFault(String),
}

impl ExitReason {
    /// Whether links of the actor let it pass, and a `Transient` class is content with it.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Normal)
    }

    /// The exit code of a process whose only actor ended so.
    ///
    /// | reason | code | as |
    /// |---|---|---|
    /// | normal | 0 | |
    /// | exited with n | n, low 8 bits; 1 if these are 0 | exit(3) |
    /// | trap, mailbox full | 134 | 128 + SIGABRT |
    /// | out of memory, killed | 137 | 128 + SIGKILL, as the kernel's OOM killer does |
    /// | link died | as the other actor | |
    /// | host fault | 70 | `EX_SOFTWARE` of sysexits.h |
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Exited(code) => u8::try_from(code & 0xff).unwrap_or(1).max(1),
            Self::Trap(_) | Self::MailboxFull => 134,
            Self::OutOfMemory { .. } | Self::Killed => 137,
            Self::LinkDied { cause, .. } => cause.as_ref().map_or(134, |cause| cause.code()),
            Self::HostFault(_) => 70,
        }
    }
}

/// How the body of an actor ended: the reason, and what it said last, such as the line of its panic.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Why.
    pub reason: ExitReason,
    /// Its last line on standard error, if it wrote any.
    pub last_words: Option<Arc<str>>,
}

impl From<ExitReason> for Ended {
    fn from(reason: ExitReason) -> Self {
        let last_words = match &reason {
            ExitReason::LinkDied { last_words, .. } => last_words.clone(),
            _ => None,
        };
        Self { reason, last_words }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("ended normally"),
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Trap(text) => write!(f, "trapped: {text}"),
            Self::OutOfMemory { limit, wanted } => {
                let (limit, wanted) = (perigee_spec::MemoryBytes(*limit), perigee_spec::MemoryBytes(*wanted));
                write!(f, "ran out of memory: its limits.memory is {limit}, it wanted {wanted}")
            }
            Self::MailboxFull => f.write_str("sent to itself while its mailbox was full (limits.mailbox)"),
            Self::Killed => f.write_str("was killed"),
            Self::LinkDied { id, cause: Some(cause), .. } => write!(f, "died with the linked actor {id}, which {cause}"),
            Self::LinkDied { id, cause: None, .. } => write!(f, "died by linking to the actor {id}, which does not exist"),
            Self::HostFault(text) => write!(f, "ended by a defect of Perigee, please report it: {text}"),
        }
    }
}

#[cfg(test)]
#[cfg(not(interleavings))]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_table() {
        let by_link = ExitReason::LinkDied { id: ActorId(7), cause: Some(Arc::new(ExitReason::Exited(3))), last_words: None };
        for (reason, code) in [
            (ExitReason::Normal, 0),
            (ExitReason::Exited(3), 3),
            (ExitReason::Exited(256), 1),
            (ExitReason::Exited(-1), 255),
            (ExitReason::Trap("unreachable".into()), 134),
            (ExitReason::MailboxFull, 134),
            (ExitReason::OutOfMemory { limit: 1, wanted: 2 }, 137),
            (ExitReason::Killed, 137),
            (by_link, 3),
            (ExitReason::HostFault("x".into()), 70),
        ] {
            assert_eq!(reason.code(), code, "{reason}");
        }
    }
}
