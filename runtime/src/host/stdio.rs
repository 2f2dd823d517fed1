//! Standard output and error of all guests: a bounded buffer before one writing thread each, so that a slow reader of
//! the logs suspends those who write, and never a thread that runs actors.

use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::Notify;
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
    /// For guests that wait until there is room, in the order in which they came. Who stops waiting leaves nothing here.
    room: Notify,
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
}

impl State {
    fn room(&self) -> usize {
        if self.closed || self.kept { CAPACITY } else { CAPACITY.saturating_sub(self.buffer.len()) }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.kept {
            let room = MAX_KEPT.saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        } else if !self.closed {
            self.buffer.extend_from_slice(bytes);
        }
    }
}

impl Shared {
    fn new(state: State) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), room: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    /// An output that ends in `sink`.
    ///
    /// # Errors
    /// No thread can be started for it.
    pub fn new(name: &str, sink: impl Write + Send + 'static) -> std::io::Result<Self> {
        let output = Self(Shared::new(State::default()));
        let shared = Arc::clone(&output.0);
        std::thread::Builder::new().name(format!("perigee-{name}")).spawn(move || write_all(&shared, sink))?;
        Ok(output)
    }

    /// An output that is kept until [`Self::take_kept`].
    #[must_use]
    pub fn kept() -> Self {
        Self(Shared::new(State { kept: true, ..State::default() }))
    }

    /// What was written to an output that is [kept](Self::kept).
    #[must_use]
    pub fn take_kept(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.state().buffer)
    }

    /// Waits until everything is written, or the time is over; whether it is. Blocks: for the end of a process.
    #[must_use]
    pub fn flush_blocking(&self, timeout: Duration) -> bool {
        let unwritten = |state: &mut State| !state.closed && (state.writing || !state.buffer.is_empty());
        let waited = self.0.changed.wait_timeout_while(self.0.state(), timeout, unwritten);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn push(&self, bytes: &[u8]) {
        self.0.state().push(bytes);
        self.0.changed.notify_all();
    }

    fn has_room(&self) -> bool {
        self.0.state().room() >= MIN_ROOM
    }

    /// Waits until a line has room. Whenever some was made, one who waits is woken, and wakes the next when it finds any: so
    /// it costs nothing that many wait.
    async fn until_room(&self) {
        if self.has_room() {
            return;
        }
        loop {
            let mut turn = pin!(self.0.room.notified());
            turn.as_mut().enable();
            if self.has_room() {
                // A turn that came meanwhile is passed on where it is dropped.
                return;
            }
            turn.await;
            if self.has_room() {
                return self.0.room.notify_one();
            }
        }
    }
}

fn write_all(shared: &Shared, mut sink: impl Write) {
    let mut bytes = Vec::new();
    loop {
        {
            let mut state = shared.state();
            state.writing = false;
            shared.changed.notify_all();
            while state.buffer.is_empty() {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            bytes.clear();
            std::mem::swap(&mut bytes, &mut state.buffer);
            state.writing = true;
        }
        shared.room.notify_one();
        if sink.write_all(&bytes).and_then(|()| sink.flush()).is_err() {
            let mut state = shared.state();
            state.closed = true;
            state.buffer = Vec::new();
            drop(state);
            shared.room.notify_waiters();
            shared.changed.notify_all();
            return;
        }
    }
}

/// Log lines of the runtime itself. They are dropped when there is no room: the host never waits for a reader.
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut state = self.0.state();
        if state.room() >= bytes.len() {
            state.push(bytes);
            self.0.changed.notify_all();
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
        Box::new(Stream { output: self.clone(), turn: None })
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.until_room().await;
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
        let room = self.0.state().room();
        Ok(if room < MIN_ROOM { 0 } else { room.min(MAX_WRITE) })
    }
}

/// An output as bytes are written to it by futures.
struct Stream {
    output: Output,
    /// Waits for room.
    turn: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        loop {
            if let Some(turn) = &mut self.turn {
                std::task::ready!(turn.as_mut().poll(context));
                self.turn = None;
            }
            let mut state = self.output.0.state();
            let room = state.room();
            if room >= MIN_ROOM {
                let taken = bytes.len().min(room);
                state.push(bytes.get(..taken).unwrap_or_default());
                self.output.0.changed.notify_all();
                return Poll::Ready(Ok(taken));
            }
            drop(state);
            let output = self.output.clone();
            self.turn = Some(Box::pin(async move { output.until_room().await }));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
