//! Standard output and error of all guests: a bounded buffer before one writing thread each, so that a slow reader of
//! the logs suspends those who write, and never a thread that runs actors.

use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Bytes that wait for the writer. Shared by all guests of a process.
const CAPACITY: usize = 256 << 10;
/// Room below which a guest waits rather than have a line cut in two: the size of a pipe's atomic write.
const MIN_ROOM: usize = 4 << 10;
/// Bytes of an output that is kept.
const MAX_KEPT: usize = 16 << 20;
/// Bytes of one write of a guest.
const MAX_WRITE: usize = 64 << 10;

/// One output. Cheap to clone.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    /// The writer has taken bytes and not finished writing them.
    writing: bool,
    /// Writing failed: what comes is dropped, as a closed log must not end an app.
    closed: bool,
    /// There is no writer: the bytes stay, and what is beyond [`MAX_KEPT`] is dropped.
    kept: bool,
    waiting: Vec<Waker>,
}

impl Output {
    /// An output that ends in `sink`.
    ///
    /// # Errors
    /// No thread can be started for it.
    pub fn new(name: &str, sink: impl Write + Send + 'static) -> std::io::Result<Self> {
        let output = Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() }));
        let shared = Arc::clone(&output.0);
        std::thread::Builder::new().name(format!("perigee-{name}")).spawn(move || write_all(&shared, sink))?;
        Ok(output)
    }

    /// An output that is kept until [`Self::take_kept`].
    #[must_use]
    pub fn kept() -> Self {
        let state = State { kept: true, ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// What was written to an output that is [kept](Self::kept).
    #[must_use]
    pub fn take_kept(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().buffer)
    }

    /// Waits until everything is written, or the time is over. Blocks: for the end of a process.
    pub fn flush_blocking(&self, timeout: Duration) {
        let state = self.state();
        let unwritten = |state: &mut State| !state.closed && (state.writing || !state.buffer.is_empty());
        drop(self.0.changed.wait_timeout_while(state, timeout, unwritten).unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> usize {
        let state = self.state();
        if state.closed || state.kept { CAPACITY } else { CAPACITY.saturating_sub(state.buffer.len()) }
    }

    fn push(&self, bytes: &[u8]) {
        let mut state = self.state();
        if state.kept {
            let room = MAX_KEPT.saturating_sub(state.buffer.len());
            state.buffer.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        } else if !state.closed {
            state.buffer.extend_from_slice(bytes);
            self.0.changed.notify_all();
        }
    }

    fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.closed || state.kept || CAPACITY.saturating_sub(state.buffer.len()) >= MIN_ROOM {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

fn write_all(shared: &Shared, mut sink: impl Write) {
    let mut bytes = Vec::new();
    loop {
        {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.writing = false;
            shared.changed.notify_all();
            while state.buffer.is_empty() {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            bytes.clear();
            std::mem::swap(&mut bytes, &mut state.buffer);
            state.writing = true;
            for waker in state.waiting.drain(..) {
                waker.wake();
            }
        }
        if sink.write_all(&bytes).and_then(|()| sink.flush()).is_err() {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.closed = true;
            state.buffer = Vec::new();
            for waker in state.waiting.drain(..) {
                waker.wake();
            }
            shared.changed.notify_all();
            return;
        }
    }
}

/// Log lines of the runtime itself. They are dropped when there is no room: the host never waits for a reader.
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.room() >= bytes.len() {
            self.push(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        std::future::poll_fn(|context| self.poll_room(context)).await;
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if bytes.len() > MAX_WRITE {
            return Err(StreamError::Trap(wasmtime::format_err!("more was written than check_write permitted")));
        }
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    /// Another guest may take the room that is promised here before the write. The buffer then grows beyond its capacity
    /// by one write of each thread that runs guests, no more: check and write fall into one poll.
    fn check_write(&mut self) -> StreamResult<usize> {
        let room = self.room();
        Ok(if room < MIN_ROOM { 0 } else { room.min(MAX_WRITE) })
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        std::task::ready!(self.poll_room(context));
        let taken = bytes.len().min(self.room());
        self.push(bytes.get(..taken).unwrap_or_default());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
