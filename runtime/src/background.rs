//! Threads for what computes for long and may take its time: compiling modules, databases. They stand back for the threads of
//! actors: few, and of a lower priority. Work is done in the order in which it came.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{Semaphore, oneshot};

/// SQLite counts on it (`host/sqlite/context.rs`), and Cranelift.
const STACK_BYTES: usize = 2 << 20;

/// A number of threads, and those who wait for one.
pub(crate) struct Background {
    /// One for each thread. Whoever waits for one takes part in nothing else, so the queue is as long as there are actors.
    turns: Arc<Semaphore>,
    threads: ThreadPool,
}

impl Background {
    /// Starts so many threads, with `nice` added to their nice value: of a core that an actor wants as well, one of 5 leaves them
    /// a quarter, one of 10 a tenth. Their work is done even so, however many actors spin.
    pub(crate) fn start(name: &'static str, threads: usize, nice: i32) -> wasmtime::Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(move |_| name.to_owned());
        let pool = pool.stack_size(STACK_BYTES).start_handler(move |_| stand_back(nice)).build()?;
        Ok(Self { turns: Arc::new(Semaphore::new(threads)), threads: pool })
    }

    /// Does `work` on one of the threads; what that divides among threads by Rayon stays among them. Work that has begun is
    /// finished, whether its result is waited for or not. A panic of it goes on here.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> wasmtime::Result<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await?;
        let (tell, done) = oneshot::channel();
        self.threads.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            drop(turn);
            drop(tell.send(done));
        });
        done.await?.map_err(|panic| resume_unwind(panic))
    }
}

/// Lowers the priority of this thread.
fn stand_back(nice: i32) {
    // On Linux, "this process" is the calling thread.
    let lowered =
        rustix::process::getpriority_process(None).and_then(|present| rustix::process::setpriority_process(None, present + nice));
    if let Err(error) = lowered {
        tracing::debug!("work in the background has the priority of actors: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn work_is_done_in_its_order_by_no_more_than_the_threads_and_with_a_lower_priority() {
        let background = Arc::new(Background::start("test", 2, 5).unwrap());
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let (background, at_once, most) = (Arc::clone(&background), Arc::clone(&at_once), Arc::clone(&most));
            waiting.push(tokio::spawn(async move {
                let work = move || {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    rustix::process::getpriority_process(None).unwrap()
                };
                background.run(work).await.unwrap()
            }));
        }
        let own = rustix::process::getpriority_process(None).unwrap();
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), (own + 5).min(19));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_no_turn_and_a_panic_ends_no_thread() {
        let background = Arc::new(Background::start("test", 1, 5).unwrap());
        let (go, goes) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let first = tokio::spawn({
            let background = Arc::clone(&background);
            let work = move || {
                begin.send(()).unwrap();
                goes.recv().is_err()
            };
            async move { background.run(work).await }
        });
        begun.await.unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(20), background.run(|| panic!("it is not begun"))).await;
        assert!(given_up.is_err());
        drop(go);
        assert!(first.await.unwrap().unwrap());
        let panics = tokio::spawn({
            let background = Arc::clone(&background);
            async move { background.run(|| panic!("as it should")).await }
        });
        assert!(panics.await.unwrap_err().is_panic());
        assert_eq!(background.run(|| 7).await.unwrap(), 7);
    }
}
