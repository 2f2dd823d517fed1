//! Supervision of the actors that an app declares: start, decide at each end, start again or give up.

mod intensity;

use std::sync::Arc;

use tokio::time::Instant;

pub(crate) use intensity::{Decision, Intensity};

use crate::actor::{ActorId, ExitReason};
use crate::class::Class;
use crate::node::Node;
use crate::spawn::{Entry, SpawnError, Spawner};

/// How the supervision of one declared actor ended.
pub(crate) struct Ended {
    pub(crate) class: Arc<str>,
    pub(crate) id: Option<ActorId>,
    pub(crate) cause: Cause,
}

pub(crate) enum Cause {
    /// Its policy wants no restart.
    Done(Arc<ExitReason>),
    /// It needed more restarts than its intensity allows.
    GaveUp { reason: Arc<ExitReason>, restarts: u32, window: perigee_spec::Window },
    /// It could not be started.
    NotStarted(SpawnError),
}

/// Runs one actor of a class, again and again as its policy says.
pub(crate) async fn supervise(node: Arc<Node>, class: Arc<Class>) -> Ended {
    let restart = &class.spec.restart;
    let mut intensity = Intensity::new(restart);
    let ended = |id, cause| Ended { class: Arc::clone(&class.name), id, cause };
    loop {
        let entry = Entry { function: &class.spec.entrypoint, params: &[] };
        let (id, exit) = match node.spawn(&class, entry, Spawner::Supervisor).await {
            Ok(spawned) => spawned,
            Err(error) => return ended(None, Cause::NotStarted(error)),
        };
        let reason = match exit.await {
            Ok(exit) => exit.reason,
            // Its task was dropped with the whole runtime.
            Err(_) => Arc::new(ExitReason::Killed),
        };
        if node.is_draining() {
            return ended(Some(id), Cause::Done(reason));
        }
        match intensity.decide(&reason, Instant::now()) {
            Decision::Restart => tracing::info!(actor = id.0, class = %class.name, "restarting, since it {reason}"),
            Decision::Done => return ended(Some(id), Cause::Done(reason)),
            Decision::GiveUp => {
                return ended(Some(id), Cause::GaveUp { reason, restarts: restart.max_restarts, window: restart.window });
            }
        }
    }
}
