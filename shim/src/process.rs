//! One process of a container: its first one, or one that was executed in it later; in a Wasm container, a session with
//! the worker that looks like one.
//!
//! Lock order: `order` (held across calls of the runtime) before the others, which are never held across an await.

use std::{
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use containerd_shim::asynchronous::io::{IoTasks, Pty, Stdio};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::watch;

use crate::{
    console,
    control::Size,
    error::ShimError,
    exit::Exit,
    session::Wishes,
    state::{Refused, State},
    stdio::Output,
};

/// How long what a terminal said last may wait for its reader when the process is deleted: of the 5 s that containerd
/// gives a removal, the rest is for the container itself.
const DRAIN: Duration = Duration::from_secs(2);
/// Between two looks for a reader: at first, and at the longest. It comes within milliseconds, unless containerd is away.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(100);

/// A process and its streams.
pub(crate) struct Process {
    pub(crate) stdio: Stdio,
    /// Tasks that copy its input, or its terminal. Shut down when it is deleted.
    pub(crate) io: IoTasks,
    /// Held while it is started and while its exit is reported, so that nobody hears of the exit first.
    pub(crate) order: tokio::sync::Mutex<()>,
    state: watch::Sender<State>,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    /// 0 until it exists.
    pid: i32,
    handle: Option<Handle>,
    terminal: Option<Pty>,
    /// Held until it has ended and somebody reads them, or until it is deleted.
    outputs: Vec<Output>,
}

/// What is signalled and resized.
enum Handle {
    /// Names the process even when its pid has been given to another one.
    Process(OwnedFd),
    Session(watch::Sender<Wishes>),
}

impl Process {
    pub(crate) fn new(stdio: Stdio) -> Self {
        Self {
            stdio,
            io: IoTasks::default(),
            order: tokio::sync::Mutex::default(),
            state: watch::Sender::new(State::Created),
            live: Mutex::default(),
        }
    }

    /// The process exists from now on.
    pub(crate) fn born(&self, pid: i32, terminal: Option<Pty>, outputs: Vec<Output>) {
        let pidfd = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        *self.live() = Live { pid, handle: pidfd.map(Handle::Process), terminal, outputs };
    }

    /// A session exists from now on, with the process `pid`. What is wanted of it.
    pub(crate) fn opened(&self, pid: i32, outputs: Vec<Output>) -> watch::Receiver<Wishes> {
        let (told, wishes) = watch::channel(Wishes::default());
        *self.live() = Live { pid, handle: Some(Handle::Session(told)), outputs, ..Live::default() };
        wishes
    }

    /// 0 before it exists; kept after its end.
    pub(crate) fn pid(&self) -> u32 {
        self.live().pid.unsigned_abs()
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Moves to another state, if the present one allows.
    pub(crate) fn change(&self, to: impl FnOnce(State) -> Result<State, Refused>) -> Result<(), Refused> {
        let next = to(self.state())?;
        self.state.send_replace(next);
        Ok(())
    }

    /// Its end; whoever waits is told.
    pub(crate) fn stop(&self, exit: Exit) {
        self.state.send_modify(|state| *state = state.stop(exit));
        // Nothing can be signalled or resized any more.
        let mut live = self.live();
        live.handle = None;
        live.terminal = None;
    }

    /// Lets go of the outputs of one that has ended, each as soon as it has a reader, who finds their ends then.
    pub(crate) async fn leave_outputs(&self) {
        let mut pause = FIRST_LOOK;
        loop {
            {
                let mut live = self.live();
                live.outputs.retain(|output| !output.has_reader());
                if live.outputs.is_empty() {
                    return;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// Waits for its end; at once when that is past.
    pub(crate) async fn wait(&self) -> Exit {
        let mut state = self.state.subscribe();
        loop {
            if let Some(exit) = state.borrow_and_update().exit() {
                return exit;
            }
            if state.changed().await.is_err() {
                // The sender is `self`, so this does not happen; to wait forever would be the honest answer to it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether [`Self::signal`] knows the signal: realtime signals are left to the OCI runtime.
    pub(crate) fn can_signal(number: u32) -> bool {
        i32::try_from(number).is_ok_and(|number| Signal::from_named_raw(number).is_some())
    }

    /// Sends a signal to this very process.
    pub(crate) fn signal(&self, number: u32) -> Result<(), ShimError> {
        let invalid = || ShimError::Invalid { what: "signal", value: number.to_string(), expected: "a signal of Linux" };
        let signal = i32::try_from(number).ok().and_then(Signal::from_named_raw).ok_or_else(invalid)?;
        let live = self.live();
        let pidfd = match live.handle.as_ref() {
            Some(Handle::Process(pidfd)) => pidfd,
            Some(Handle::Session(told)) => {
                told.send_modify(|wishes| wishes.signal(number));
                return Ok(());
            }
            None if live.pid == 0 => return Err(ShimError::NotStarted),
            None => return Err(ShimError::Finished),
        };
        match pidfd_send_signal(pidfd, signal) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::SRCH) => Err(ShimError::Finished),
            Err(error) => Err(ShimError::io(format!("signal {number} to {}", live.pid))(error.into())),
        }
    }

    /// Lets go of its streams, for its removal. What a reader does not take in time is lost.
    pub(crate) async fn release_streams(&self) {
        // The library alone would wait for 10 s.
        if tokio::time::timeout(DRAIN, self.io.shutdown()).await.is_err() {
            self.io.abort().await;
        }
        self.live().outputs.clear();
    }

    pub(crate) fn resize(&self, columns: u32, rows: u32) -> Result<(), ShimError> {
        let live = self.live();
        if let Some(Handle::Session(told)) = &live.handle {
            told.send_modify(|wishes| wishes.size = Some(Size { columns, rows }));
        }
        // A process without a terminal has no size; containerd asks all the same.
        live.terminal.as_ref().map_or(Ok(()), |terminal| console::resize(terminal, columns, rows))
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[tokio::test]
    async fn waiting_for_a_process_that_ended_answers_at_once() {
        let process = Process::new(Stdio::default());
        let exit = Exit { status: 5, at: UNIX_EPOCH };
        process.stop(exit);
        assert_eq!(process.wait().await, exit);
        assert!(matches!(process.signal(15), Err(ShimError::NotStarted)), "it never had a pid");
    }

    #[tokio::test]
    async fn everybody_who_waits_is_told() {
        let process = std::sync::Arc::new(Process::new(Stdio::default()));
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let process = process.clone();
                tokio::spawn(async move { process.wait().await.status })
            })
            .collect();
        tokio::task::yield_now().await;
        process.stop(Exit { status: 9, at: UNIX_EPOCH });
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), 9);
        }
    }
}
