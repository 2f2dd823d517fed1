//! WASI preview 1, under the permissions of the guest's class.

use std::time::Duration;

use wasmtime::{AsContextMut as _, Caller, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _};
use wasmtime_wasi::p1::{self, WasiP1Ctx, types};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiView};
use wiggle::{GuestMemory, GuestPtr};

use super::last_words::LastWords;
use super::memory::split;
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
    // Wasmtime's own waits in the kernel, on a thread, until a pipe has somebody at its other end.
    linker.func_wrap_async(MODULE, "path_open", |caller, args| Box::new(path_open(caller, args)))?;
    // Wasmtime's own sleeps by Tokio's timers, of whole milliseconds.
    linker.func_wrap_async(MODULE, "poll_oneoff", |caller, args| Box::new(poll_oneoff(caller, args)))?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Ends the guest with any code; `docs/exit-codes.md` says what becomes of it.
fn proc_exit(code: i32) -> wasmtime::Result<()> {
    Err(I32Exit(code).into())
}

/// Opens a file or folder. What is neither is refused, but for devices: a pipe would keep one of the few threads for files until
/// somebody opens its other end, and nothing could be read from it, as reads have a position.
async fn path_open(mut caller: Caller<'_, Guest>, args: (i32, i32, i32, i32, i32, i64, i64, i32, i32)) -> wasmtime::Result<i32> {
    let (folder, lookup, path, path_len, how, rights, inherited, flags, opened) = args;
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (memory, guest) = split(&mut caller)?;
    let (mut memory, wasi) = (GuestMemory::Unshared(memory), guest.wasi());
    wasi.set_hostcall_fuel(fuel);
    if let Ok(follows) = types::Lookupflags::try_from(lookup) {
        let path = GuestPtr::new((path.cast_unsigned(), path_len.cast_unsigned()));
        // An error is one of opening it, too, which says it.
        let found = wasi.path_filestat_get(&mut memory, folder.cast_unsigned().into(), follows, path).await;
        if found.is_ok_and(|found| found.filetype == types::Filetype::Unknown) {
            return Ok(u16::from(types::Errno::Notsup).into());
        }
        wasi.set_hostcall_fuel(fuel);
    }
    preview1::path_open(wasi, &mut memory, folder, lookup, path, path_len, how, rights, inherited, flags, opened).await
}

/// Waits for any of several things. A sleep, which is to wait for a time only, is as exact as `lunatic::process::sleep_ms`.
async fn poll_oneoff(mut caller: Caller<'_, Guest>, args: (i32, i32, i32, i32)) -> wasmtime::Result<i32> {
    let (subscriptions, events, count, ready) = args;
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (memory, guest) = split(&mut caller)?;
    let mut memory = GuestMemory::Unshared(memory);
    let address = |at: i32| at.cast_unsigned();
    let sleep = GuestPtr::new(address(subscriptions));
    if count == 1
        && let Some(duration) = sleeps(&mut memory, sleep, GuestPtr::new(address(events)), GuestPtr::new(address(ready)))
    {
        guest.node.engine.sleep(duration).await;
        return Ok(u16::from(types::Errno::Success).into());
    }
    let wasi = guest.wasi();
    wasi.set_hostcall_fuel(fuel);
    preview1::poll_oneoff(wasi, &mut memory, subscriptions, events, count, ready).await
}

/// How long to sleep, if that is all that is wanted, with what is to be there afterwards. `None`: something else, or wrong.
fn sleeps(
    memory: &mut GuestMemory<'_>,
    subscription: GuestPtr<types::Subscription>,
    event: GuestPtr<types::Event>,
    ready: GuestPtr<u32>,
) -> Option<Duration> {
    let types::Subscription { userdata, u: types::SubscriptionU::Clock(clock) } = memory.read(subscription).ok()? else {
        return None;
    };
    let absolute = clock.flags.contains(types::Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME);
    if absolute || !matches!(clock.id, types::Clockid::Monotonic | types::Clockid::Realtime) {
        return None;
    }
    let fd_readwrite = types::EventFdReadwrite { nbytes: 0, flags: types::Eventrwflags::empty() };
    let over = types::Event { userdata, error: types::Errno::Success, type_: types::Eventtype::Clock, fd_readwrite };
    memory.write(event, over).ok()?;
    memory.write(ready, 1).ok()?;
    Some(Duration::from_nanos(clock.timeout))
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
