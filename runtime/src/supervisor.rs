//! Supervision of the actors that an app declares: starts them in order, and at each end does what the tree decides.

mod declared;
mod intensity;
mod tree;

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub(crate) use declared::Board;
pub use declared::{Declared, DeclaredState};
pub(crate) use intensity::{Decision, Intensity};
use tree::{Tree, Verdict};

use crate::actor::{ActorId, Exit, ExitReason};
use crate::class::Class;
use crate::node::Node;
use crate::spawn::{Entry, Params, SpawnError, Spawner};

/// The declared actors of an app.
pub(crate) struct Supervisor {
    node: Arc<Node>,
    tree: Tree,
    children: Vec<Child>,
    running: JoinSet<(usize, Exit)>,
    /// The first bad end of one that stays ended.
    failed: Option<Ended>,
}

struct Child {
    class: Arc<Class>,
    /// While it runs.
    id: Option<ActorId>,
    /// It ran before, so that it cannot be impossible to start.
    has_run: bool,
}

/// The end of a declared actor that counts for the app.
#[derive(Clone)]
pub(crate) struct Ended {
    pub(crate) class: Arc<Class>,
    pub(crate) exit: Exit,
}

/// Why an app's supervision ended.
pub(crate) enum Cause {
    /// All have ended for good; the first of them that ended badly.
    Done(Option<Ended>),
    /// One needed more restarts than its intensity allows.
    GaveUp(Ended),
    /// One could not be started.
    NotStarted(SpawnError),
}

impl Supervisor {
    pub(crate) fn new(node: Arc<Node>, strategy: perigee_spec::Strategy, classes: Vec<Arc<Class>>) -> Self {
        node.declared.begin(classes.iter().map(|class| &class.name));
        let tree = Tree::new(strategy, classes.iter().map(|class| &class.spec.restart), Instant::now());
        let children = classes.into_iter().map(|class| Child { class, id: None, has_run: false }).collect();
        Self { node, tree, children, running: JoinSet::new(), failed: None }
    }

    /// Runs the actors until their supervision ends. Cancel-safe: goes on where it was.
    pub(crate) async fn run(&mut self) -> Cause {
        loop {
            while let Some(index) = self.tree.start_next(Instant::now()) {
                if let Some(cause) = self.start(index).await {
                    return cause;
                }
            }
            if self.tree.is_done() {
                return Cause::Done(self.failed.clone());
            }
            let due = self.tree.next_due();
            self.node.declared.waits(&self.tree);
            tokio::select! {
                Some(Ok((index, exit))) = self.running.join_next() => {
                    if let Some(cause) = self.ended(index, exit) {
                        return cause;
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Waits until all have ended, starting none of them again. Returns the first bad end.
    pub(crate) async fn wind_down(&mut self) -> Option<Ended> {
        while let Some(ended) = self.running.join_next().await {
            if let Ok((index, exit)) = ended {
                self.keep_failure(index, exit);
            }
        }
        self.failed.clone()
    }

    async fn start(&mut self, index: usize) -> Option<Cause> {
        let class = Arc::clone(&self.children[index].class);
        let entry = Entry { function: &class.spec.entrypoint, params: Params::None };
        let (told, exit) = oneshot::channel();
        match self.node.spawn(&class, entry, Spawner::Supervisor { told }).await {
            Ok(id) => {
                let child = &mut self.children[index];
                (child.id, child.has_run) = (Some(id), true);
                self.node.declared.runs(index, id);
                self.running.spawn(async move {
                    // Its task is dropped with the whole runtime.
                    let killed = |_| Exit { id, reason: Arc::new(ExitReason::Killed), last_words: None };
                    (index, exit.await.unwrap_or_else(killed))
                });
                None
            }
            // What could be started once fails for want of room: others may give some back.
            Err(error) if self.children[index].has_run => {
                tracing::warn!(class = %class.name, "not restarted: {error}");
                let reason = ExitReason::Trap(error.to_string());
                let verdict = self.tree.ended(index, &reason, Instant::now());
                self.node.declared.ended(index, &self.tree);
                match verdict {
                    Verdict::GiveUp => Some(Cause::NotStarted(error)),
                    Verdict::Done => None,
                    Verdict::Again { kill } => {
                        self.kill(&kill);
                        None
                    }
                }
            }
            Err(error) => Some(Cause::NotStarted(error)),
        }
    }

    fn ended(&mut self, index: usize, exit: Exit) -> Option<Cause> {
        let child = &mut self.children[index];
        child.id = None;
        let (id, name) = (exit.id.0, Arc::clone(&child.class.name));
        let verdict = self.tree.ended(index, &exit.reason, Instant::now());
        self.node.declared.ended(index, &self.tree);
        match verdict {
            Verdict::Done => self.keep_failure(index, exit),
            Verdict::GiveUp => return Some(Cause::GaveUp(Ended { class: Arc::clone(&self.children[index].class), exit })),
            Verdict::Again { kill } => {
                tracing::info!(actor = id, class = %name, "restarting, since it {}", exit.reason);
                self.kill(&kill);
            }
        }
        None
    }

    fn keep_failure(&mut self, index: usize, exit: Exit) {
        if self.failed.is_none() && !exit.reason.is_normal() {
            self.failed = Some(Ended { class: Arc::clone(&self.children[index].class), exit });
        }
    }

    fn kill(&self, children: &[usize]) {
        for id in children.iter().filter_map(|index| self.children[*index].id) {
            if let Some(actor) = self.node.system.find(id) {
                actor.kill();
            }
        }
    }
}
