//! WASI preview 1, under the permissions of the guest's class.

use wasmtime::Linker;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiView};

use super::last_words::LastWords;
use crate::class::Class;
use crate::guest::Guest;
use crate::node::Node;

/// Files and folders that one guest has open, its standard streams and granted folders included: each is an open file of the
/// process, which all its actors share. What a call needs for a moment, such as a poll for each of its subscriptions, counts too.
const MAX_OPEN: usize = 4_096;
/// The import module of WASI preview 1.
const MODULE: &str = "wasi_snapshot_preview1";

/// Adds `wasi_snapshot_preview1`. File operations run on the blocking pool, sleeps and polls suspend.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p1::add_to_linker_async(linker, Guest::wasi)?;
    // Wasmtime's own traps on codes of 126 and more.
    linker.allow_shadowing(true);
    linker.func_wrap(MODULE, "proc_exit", proc_exit)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Ends the guest with any code; `docs/exit-codes.md` says what becomes of it.
fn proc_exit(code: i32) -> wasmtime::Result<()> {
    Err(I32Exit(code).into())
}

/// What a guest of a class sees of the host: its arguments, its variables, its folders, and nothing else.
pub(crate) fn context(class: &Class, node: &Node, last_words: &LastWords) -> WasiP1Ctx {
    let mut context = WasiCtx::builder();
    context.args(&class.args).envs(&class.env).stdout(node.stdout.clone()).stderr(last_words.heard_by(&node.stderr));
    for folder in &class.folders {
        let permissions = if folder.is_read_only() { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        // It was there when the class was made ready. If it is gone by now, the guest does not find it either.
        let opened = folder.open().map_err(wasmtime::Error::from).and_then(|opened| {
            context.preopened_dir(opened.path(), folder.guest(), permissions)?;
            Ok(())
        });
        if let Err(error) = opened {
            tracing::warn!(class = %class.name, folder = folder.guest(), "a granted folder cannot be opened: {error:#}");
        }
    }
    let mut context = context.build_p1();
    context.ctx().table.set_max_capacity(MAX_OPEN);
    context
}
