//! Uses of SQLite that may take long: on threads of their own, which stand back for those of actors.

use std::ffi::CString;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::connection::{BUSY, Code, Connection, INTERRUPTED, ROW, Statement};
use super::context::Context;
use crate::background::Background;

/// Uses at once, of all actors of the process: so many that never end hold up the others. Further ones wait in the order in which
/// they came.
const AT_ONCE: usize = 16;
/// What the nice value of their threads is higher by, since they are many.
const NICE: i32 = 10;
/// How long a call goes on trying while others have the database locked. Nothing is held meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between two tries: doubled from the first on.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

static THREADS: LazyLock<Option<Background>> = LazyLock::new(|| {
    let started = Background::start("perigee-sqlite", AT_ONCE, NICE);
    started.inspect_err(|error| tracing::error!("no threads for databases: {error:#}")).ok()
});

/// Stops a connection whose call was given up: its actor has ended.
struct Stop<'a> {
    connection: &'a Connection,
    given_up: bool,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if self.given_up {
            self.connection.stop();
        }
    }
}

/// Does `work` with a connection, until it is done, or was not for too long because of others' locks.
async fn call<T: Send + 'static>(
    connection: &Arc<Connection>,
    work: impl Fn() -> Result<T, Code> + Clone + Send + 'static,
) -> Result<T, Code> {
    let mut stop = Stop { connection, given_up: true };
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    let done = loop {
        let (used, work) = (Arc::clone(connection), work.clone());
        let (done, locked) = blocking(move || {
            if used.is_stopped() {
                return (Err(INTERRUPTED), false);
            }
            used.begin();
            (work(), used.was_locked())
        })
        .await
        .unwrap_or((Err(INTERRUPTED), false));
        if !locked || done.as_ref().err() != Some(&BUSY) || began.elapsed() > PATIENCE {
            break done;
        }
        tokio::time::sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 2);
    };
    stop.given_up = false;
    done
}

/// Does `work` on a thread for it. `None`: there is none.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    THREADS.as_ref()?.run(work).await.ok()
}

/// Does `work` on a thread that may wait, some time later.
pub(super) fn elsewhere(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

impl Connection {
    pub(super) async fn open_elsewhere(context: Context, path: CString) -> Result<Arc<Self>, Code> {
        let open = move || Self::open(Arc::new(context), &path).map(Arc::new);
        blocking(open).await.unwrap_or(Err(INTERRUPTED))
    }

    /// Compiles the first statement of `sql`. `None`: there is none.
    pub(crate) async fn compile(self: &Arc<Self>, sql: CString) -> Result<Option<Statement>, Code> {
        let (connection, sql) = (Arc::clone(self), Arc::new(sql));
        call(self, move || connection.prepare(&sql, 0)).await.map(|(statement, _)| statement)
    }

    /// Does all statements of `sql`. Their rows are not kept.
    pub(crate) async fn execute(self: &Arc<Self>, sql: CString) -> Result<(), Code> {
        let sql = Arc::new(sql);
        let mut at = 0;
        while at < sql.as_bytes().len() {
            let (connection, text) = (Arc::clone(self), Arc::clone(&sql));
            let (statement, end) = call(self, move || connection.prepare(&text, at)).await?;
            at = end;
            let Some(statement) = statement.map(Arc::new) else { continue };
            let stepped = Arc::clone(&statement);
            let all = move || {
                while stepped.step()? == ROW {}
                Ok(())
            };
            let done = call(self, all).await;
            statement.rewind().await;
            done?;
        }
        Ok(())
    }
}

impl Statement {
    /// Goes on to the next row.
    pub(crate) async fn advance(self: &Arc<Self>) -> Code {
        let statement = Arc::clone(self);
        call(self.connection(), move || statement.step()).await.unwrap_or_else(|code| code)
    }

    /// Takes it back to its beginning.
    pub(crate) async fn rewind(self: &Arc<Self>) {
        let statement = Arc::clone(self);
        let rewound = move || {
            statement.reset();
            Ok(())
        };
        call(self.connection(), rewound).await.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
