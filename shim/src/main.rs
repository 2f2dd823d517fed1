//! `containerd-shim-perigee-v1`: runs the containers of one pod for containerd.
//!
//! containerd starts this binary (`start`), talks to the server that it leaves behind, and calls it once more (`delete`)
//! when that server died. See `service.rs` for the life of the process and `task.rs` for the calls.

mod any;
mod artifact;
mod bundle;
mod cgroup;
mod code;
mod compile_cgroup;
mod console;
mod container;
mod content;
mod control;
mod error;
mod events;
mod exit;
mod image;
mod launch;
mod launcher;
mod logging;
mod module;
mod options;
mod process;
mod reaper;
mod runc;
mod runtime;
mod service;
mod session;
mod state;
mod stdio;
mod task;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before there is any thread but this one.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == launcher::ARGUMENT) {
        return launcher::helper::run();
    }
    serve();
    ExitCode::SUCCESS
}

// One thread: a shim mostly waits, and each further thread of each pod's shim would cost the node memory.
#[tokio::main(flavor = "current_thread")]
async fn serve() {
    service::run().await;
}
