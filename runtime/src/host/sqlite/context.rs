//! For whom this thread is in SQLite: who pays for its memory, whose folders it sees, and how deep it may go.

use std::cell::RefCell;
use std::sync::Arc;

use crate::actor::Actor;
use crate::class::Class;

/// Bytes of stack that SQLite may use, of the 2 MiB that a thread has. It recurses along views, triggers and the like that
/// refer to each other, as many as a database has.
const MAX_STACK_BYTES: usize = 1 << 20;

thread_local! {
    static CURRENT: RefCell<Option<Work>> = const { RefCell::new(None) };
}

/// What the thread does now.
struct Work {
    context: Arc<Context>,
    /// An address of the stack where it began.
    stack: usize,
}

/// What a connection may use of the host.
pub(super) struct Context {
    pub(super) actor: Arc<Actor>,
    pub(super) class: Arc<Class>,
}

/// The thread works for a context until this is dropped.
pub(super) struct Entered {
    before: Option<Work>,
}

impl Context {
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        Entered { before: CURRENT.replace(Some(Work { context: Arc::clone(self), stack: here() })) }
    }

    /// `None`: the thread works for the host itself.
    pub(super) fn current() -> Option<Arc<Self>> {
        let context = |current: &RefCell<Option<Work>>| Some(Arc::clone(&current.borrow().as_ref()?.context));
        CURRENT.try_with(context).ok().flatten()
    }

    /// Whether SQLite has gone deeper than it may.
    pub(super) fn is_too_deep() -> bool {
        let used = |work: &Work| work.stack.abs_diff(here());
        CURRENT.try_with(|current| current.borrow().as_ref().map_or(0, used)).is_ok_and(|used| used > MAX_STACK_BYTES)
    }
}

/// An address of the stack here.
#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    (&raw const local).addr()
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(CURRENT.replace(self.before.take()));
    }
}
