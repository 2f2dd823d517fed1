//! The one place that waits for child processes.
//!
//! The shim is a subreaper: besides `runc`, which it starts itself, it becomes the parent of every container's first
//! process (when the `runc` that made it ends) and of orphans. All of them are reaped here, by `waitpid(-1)`; nobody
//! else may wait, or would be told that the child does not exist.
//!
//! A process that the shim did not fork may end before its pid is known. So whoever expects one takes a [`Hold`] before
//! it can exist: as long as one is alive, exits of unknown processes are kept, and [`Hold::adopt`] finds them.

use std::{
    collections::HashMap,
    io,
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, WaitOptions, wait};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::exit::Exit;

/// Told once, when the process has ended and is reaped.
pub(crate) type ExitWaiter = oneshot::Receiver<Exit>;

/// Handle to the reaper; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Reaper {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<i32, oneshot::Sender<Exit>>,
    /// Exits of processes that nobody waits for yet. Empty while `holds` is 0.
    early: HashMap<i32, Exit>,
    holds: usize,
}

impl Reaper {
    /// The reaper and what to run for it, for as long as there are children.
    pub(crate) fn new() -> io::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let reaper = Self::default();
        let children = signal(SignalKind::child())?;
        Ok((reaper.clone(), reaper.run(children)))
    }

    /// Forks, and waits for that child. The lock is held meanwhile, so its exit cannot be dealt with before it is known.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<(Child, ExitWaiter)> {
        let mut table = self.lock();
        let child = command.spawn()?;
        let (told, waiter) = oneshot::channel();
        table.waiting.insert(Pid::from_child(&child).as_raw_pid(), told);
        Ok((child, waiter))
    }

    /// Keeps early exits from now on, until the hold is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.lock().holds += 1;
        Hold { reaper: self.clone() }
    }

    async fn run(self, mut children: Signal) {
        // Before the first signal too: a child may have ended before the handler was there.
        loop {
            self.reap();
            if children.recv().await.is_none() {
                return;
            }
        }
    }

    fn reap(&self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Some(exit) = Exit::from_wait(status) {
                        self.lock().report(pid.as_raw_pid(), exit);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every change below is a single one, so a panic elsewhere leaves the table whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn report(&mut self, pid: i32, exit: Exit) {
        match self.waiting.remove(&pid) {
            // Whoever waited may have given up: then nobody needs the exit.
            Some(waiter) => drop(waiter.send(exit)),
            None if self.holds > 0 => drop(self.early.insert(pid, exit)),
            None => log::debug!("reaped orphan {pid}"),
        }
    }
}

/// Keeps the exits of processes whose pid is not known yet.
pub(crate) struct Hold {
    reaper: Reaper,
}

impl Hold {
    /// Waits for a process that another one forked for us.
    pub(crate) fn adopt(&self, pid: i32) -> ExitWaiter {
        let (told, waiter) = oneshot::channel();
        let mut table = self.reaper.lock();
        match table.early.remove(&pid) {
            Some(exit) => drop(told.send(exit)),
            None => drop(table.waiting.insert(pid, told)),
        }
        waiter
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut table = self.reaper.lock();
        table.holds = table.holds.saturating_sub(1);
        if table.holds == 0 {
            table.early.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn exit(status: u32) -> Exit {
        Exit { status, at: UNIX_EPOCH }
    }

    #[test]
    fn an_exit_before_the_pid_is_known_is_kept_while_held() {
        let reaper = Reaper::default();
        let hold = reaper.hold();
        reaper.lock().report(10, exit(3));
        assert_eq!(hold.adopt(10).try_recv().unwrap(), exit(3));
    }

    #[test]
    fn exits_of_orphans_are_not_kept_when_nobody_holds() {
        let reaper = Reaper::default();
        reaper.lock().report(10, exit(3));
        drop(reaper.hold());
        let hold = reaper.hold();
        reaper.lock().report(11, exit(4));
        assert!(hold.adopt(10).try_recv().is_err());
        drop(hold);
        assert!(reaper.lock().early.is_empty());
    }

    #[test]
    fn an_adopted_process_is_told_once() {
        let reaper = Reaper::default();
        let hold = reaper.hold();
        let mut waiter = hold.adopt(12);
        drop(hold);
        assert!(waiter.try_recv().is_err());
        reaper.lock().report(12, exit(0));
        assert_eq!(waiter.try_recv().unwrap(), exit(0));
    }
}
