//! For whom this thread is in SQLite: who pays for its memory, and whose folders it sees.

use std::cell::RefCell;
use std::sync::Arc;

use crate::actor::Actor;
use crate::class::Class;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) };
}

/// What a connection may use of the host.
pub(super) struct Context {
    pub(super) actor: Arc<Actor>,
    pub(super) class: Arc<Class>,
}

/// The thread works for a context until this is dropped.
pub(super) struct Entered {
    before: Option<Arc<Context>>,
}

impl Context {
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        Entered { before: CURRENT.replace(Some(Arc::clone(self))) }
    }

    /// `None`: the thread works for the host itself.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(CURRENT.replace(self.before.take()));
    }
}
