//! The actor core: identities, mailboxes, links, monitors, kill, names, timers and quotas.
//!
//! It knows no guest ABI and no WebAssembly: the body of an actor is any future, and its tests use native ones.
//!
//! ```text
//! System ─┬─ table: ActorId -> Arc<Actor>      one lock per actor guards mailbox, links and fate;
//!         ├─ registry: name -> ActorId         two are only ever taken together by `link`, in order of id
//!         └─ timers
//! spawn = prepare (id, quota) -> the ABI builds the body -> launch (table, link, task)
//! ```

mod account;
mod brief;
mod end;
mod exit;
mod gate;
mod handle;
mod id;
mod idle;
mod inbox;
mod link;
mod look;
mod mailbox;
mod message;
mod quota;
mod receive;
mod registry;
mod run;
mod send;
mod stop;
mod sync;
mod system;
mod table;
mod timer;
mod turn;

pub use exit::{Ended, ExitReason};
pub(crate) use gate::{Pause, go_behind};
pub use handle::{Actor, ActorLimits};
pub use id::ActorId;
pub(crate) use id::NumberMap;
pub use link::LinkError;
pub(crate) use look::note_run;
pub use look::{ActorDetails, ActorInfo, ActorState};
pub use message::{Data, Envelope, Message, Resource};
pub use quota::{Quota, QuotaExceeded};
pub use receive::Filter;
pub(crate) use receive::{Began, Waited};
pub use registry::{Lookup, NameError};
pub use send::SendError;
pub use system::{Exit, Prepare, System};
pub use timer::TimerError;

#[cfg(test)]
#[cfg(not(interleavings))]
mod tests;
