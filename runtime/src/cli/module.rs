//! What a module gets that runs without a manifest, whether it is a program or tests.

use perigee_runtime::MountedFolder;
use perigee_spec::{ActorClass, Limits, MemoryBytes, RestartPolicy};

/// Mailbox of each of its actors: generous, since nothing else shares the machine's.
const MAILBOX: MemoryBytes = MemoryBytes(64 << 20);
/// Actors below the first one.
pub(super) const ACTORS: u32 = 8_000;

/// Its only class, which has no permission yet and is started once.
pub(super) fn class(args: &[String], memory: MemoryBytes) -> anyhow::Result<ActorClass> {
    let mut class = ActorClass::new("main".parse().map_err(anyhow::Error::msg)?);
    class.args = args.to_vec();
    class.restart.policy = RestartPolicy::Temporary;
    class.limits = Limits { memory, mailbox: MAILBOX.min(memory), actors: ACTORS };
    Ok(class)
}

/// The folder in which the command was given.
pub(super) fn current_folder() -> MountedFolder {
    MountedFolder::new(".", ".", false)
}
