//! An app from start to end: its declared actors, what their ends mean for it, and how it stops.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use perigee_spec::AppSpec;

use crate::class::Class;
use crate::node::Node;
use crate::supervisor::{Cause, Ended, Supervisor};
use crate::sweep;

/// How long a stopping app may finish what it has begun, where nobody says. Kubernetes kills after 30 s unless told otherwise.
pub const GRACE: Duration = Duration::from_secs(20);
/// How often a stopping app looks whether all is finished.
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
        let _sweeper = sweep::start(&self.node);
        let mut supervisor = Supervisor::new(Arc::clone(&self.node), self.spec.strategy(), self.declared());
        let exit = tokio::select! {
            cause = supervisor.run() => judge(cause),
            () = stop => self.drain(&mut supervisor, grace).await,
        };
        self.node.drain();
        self.node.system.kill_all().await;
        for (name, metric) in self.node.metrics.all() {
            tracing::debug!("metric {name:?}: {metric}");
        }
        exit
    }

    /// The class of each declared actor, in the order of starting.
    fn declared(&self) -> Vec<Arc<Class>> {
        let classes = self.spec.actors().iter().filter_map(|spec| {
            let class = self.node.classes.get(spec.name.as_str())?;
            Some(std::iter::repeat_n(Arc::clone(class), usize::try_from(spec.instances).unwrap_or(usize::MAX)))
        });
        classes.flatten().collect()
    }

    /// Listeners close, who asked for it is told, and what was begun is finished; then the rest is killed.
    async fn drain(&self, supervisor: &mut Supervisor, grace: Duration) -> AppExit {
        self.node.drain();
        let told = self.node.system.tell_of_stop();
        tracing::info!("stopping: {} connections and {told} actors to finish", self.node.open_connections());
        let finished = async {
            while self.node.open_connections() > 0 || self.node.system.is_finishing() {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(
                "not all is finished after {} s: {} connections are open",
                grace.as_secs(),
                self.node.open_connections()
            );
        }
        // One that saw its listener close may be on its way out.
        match tokio::time::timeout(DRAIN_LOOK, supervisor.wind_down()).await {
            Ok(failed) => judge(Cause::Done(failed)),
            Err(_) => AppExit { code: STOPPED, message: None },
        }
    }
}

/// What the end of its supervision means for the process.
fn judge(cause: Cause) -> AppExit {
    match cause {
        Cause::NotStarted(error) => AppExit { code: NOT_STARTED, message: Some(error.to_string()) },
        Cause::Done(None) => AppExit { code: 0, message: None },
        Cause::Done(Some(ended)) => AppExit { code: ended.exit.reason.code(), message: Some(describe(&ended, "")) },
        Cause::GaveUp(ended) => {
            let restart = &ended.class.spec.restart;
            let used = format!("; its {} restarts within {} are used up", restart.max_restarts, restart.window);
            AppExit { code: ended.exit.reason.code().max(1), message: Some(describe(&ended, &used)) }
        }
    }
}

/// Actor, class, reason, and the line that it left.
fn describe(ended: &Ended, more: &str) -> String {
    let Ended { class, exit } = ended;
    let words = exit.last_words.as_ref().map(|words| format!("; its last words: {words}")).unwrap_or_default();
    format!("actor {} (class {}) {}{more}{words}", exit.id, class.name, exit.reason)
}
