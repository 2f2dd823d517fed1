//! An app from start to end: its declared actors, what their ends mean for it, and how it stops.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use perigee_spec::AppSpec;
use tokio::task::JoinSet;

use crate::actor::ExitReason;
use crate::node::Node;
use crate::supervisor::{Cause, Ended, supervise};

/// How long a stopping app may finish what it has begun. Kubernetes kills after 30 s unless told otherwise.
pub const GRACE: Duration = Duration::from_secs(20);
/// How often a stopping app looks whether its connections are finished.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Exit code of an app that was stopped before it ended by itself: 128 + SIGTERM.
const STOPPED: u8 = 143;
/// Exit code of an app that could not start.
const NOT_STARTED: u8 = 126;

/// An app that can run.
pub struct App {
    spec: AppSpec,
    node: Arc<Node>,
}

/// Why an app cannot run.
#[derive(Debug, thiserror::Error)]
#[error("the class {class:?} of the app is not on the node")]
pub struct AppError {
    /// The class.
    pub class: String,
}

/// How an app ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppExit {
    /// Exit code for the process.
    pub code: u8,
    /// What there is to say, naming actor, class and reason; `None` when all went well.
    pub message: Option<String>,
}

impl App {
    /// Brings an app and the node with its classes together.
    ///
    /// # Errors
    /// The node lacks a class.
    pub fn new(spec: AppSpec, node: Arc<Node>) -> Result<Self, AppError> {
        match spec.actors().iter().find(|class| !node.classes.contains_key(class.name.as_str())) {
            Some(class) => Err(AppError { class: class.name.to_string() }),
            None => Ok(Self { spec, node }),
        }
    }

    /// Runs it until its last declared actor has ended for good, one of them exceeds its restart intensity, or `stop`
    /// completes; then ends whatever still lives.
    pub async fn run(self, stop: impl Future<Output = ()>, grace: Duration) -> AppExit {
        let mut roots = self.start();
        let mut exit = AppExit { code: 0, message: None };
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                ended = roots.join_next() => match ended {
                    None => break,
                    Some(Ok(ended)) => if let Some(last) = judge(&ended, &mut exit) {
                        exit = last;
                        break;
                    },
                    Some(Err(error)) => {
                        exit = AppExit { code: 70, message: Some(format!("a supervisor ended by a defect of Perigee: {error}")) };
                        break;
                    }
                },
                () = &mut stop => {
                    exit = self.drain(&mut roots, grace, exit).await;
                    break;
                }
            }
        }
        // From here on an end calls for no restart.
        self.node.drain();
        self.node.system.kill_all().await;
        exit
    }

    fn start(&self) -> JoinSet<Ended> {
        let mut roots = JoinSet::new();
        for spec in self.spec.actors() {
            let Some(class) = self.node.classes.get(spec.name.as_str()) else { continue };
            for _ in 0..spec.instances {
                roots.spawn(supervise(Arc::clone(&self.node), Arc::clone(class)));
            }
        }
        roots
    }

    /// Listeners close, connections finish; then the rest is killed.
    async fn drain(&self, roots: &mut JoinSet<Ended>, grace: Duration, mut exit: AppExit) -> AppExit {
        tracing::info!("stopping: no new connections, {} to finish", self.node.open_connections());
        self.node.drain();
        let finished = async {
            while self.node.open_connections() > 0 {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(
                "{} connections are not finished after {} s, killing their actors",
                self.node.open_connections(),
                grace.as_secs()
            );
        }
        // One that saw its listener close may be on its way out.
        tokio::time::sleep(DRAIN_LOOK).await;
        while let Some(ended) = roots.try_join_next() {
            if let Ok(ended) = ended {
                judge(&ended, &mut exit);
            }
        }
        if roots.is_empty() { exit } else { AppExit { code: STOPPED, message: None } }
    }
}

/// What the end of a declared actor means: `Some` is the end of the app; else `exit` keeps the first failure.
fn judge(ended: &Ended, exit: &mut AppExit) -> Option<AppExit> {
    let class = &ended.class;
    let actor = ended.id.map_or_else(String::new, |id| format!("actor {id} "));
    match &ended.cause {
        Cause::NotStarted(error) => Some(AppExit { code: NOT_STARTED, message: Some(error.to_string()) }),
        Cause::GaveUp { reason, restarts, window } => {
            let message = format!("{actor}(class {class}) {reason}; its {restarts} restarts within {window} are used up");
            Some(AppExit { code: reason.code().max(1), message: Some(message) })
        }
        Cause::Done(reason) => {
            if exit.code == 0 && !matches!(**reason, ExitReason::Normal) {
                *exit = AppExit { code: reason.code(), message: Some(format!("{actor}(class {class}) {reason}")) };
            }
            None
        }
    }
}
