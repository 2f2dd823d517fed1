//! `lunatic::process`: spawning, links, monitors, kill.
//!
//! A function of the guest's own module becomes an actor of the guest's own class, which needs `permissions.spawn` to name
//! that class; so does a function of a module that it compiled. A configuration takes permissions and limits away.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use wasmtime::{Caller, Linker, Result, V128, Val, bail};

use super::{give_error, give_id, link_tag};
use crate::actor::{Actor, ActorId, Lookup};
use crate::class::Class;
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes, put_id, split, text};
use crate::spawn::{Entry, Params, SpawnError, Spawner};

/// "The same as the caller's" among modules and configurations.
const OWN: i64 = -1;
/// Bytes of one packed parameter: type and value.
const PARAM_BYTES: usize = 17;
/// Result of `get_or_spawn` for a name that somebody has.
const FOUND: u32 = 2;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::process", {
        suspends spawn(link: i64, config: i64, module: i64, function: u32, function_len: u32, params: u32, params_len: u32, id_out: u32) -> u32;
        suspends get_or_spawn(name: u32, name_len: u32, link: i64, config: i64, module: i64, function: u32, function_len: u32, params: u32, params_len: u32, node_out: u32, id_out: u32) -> u32;
        suspends sleep_ms(milliseconds: u64) -> ();
        sync die_when_link_dies(dies: u32) -> ();
        sync process_id() -> u64;
        sync environment_id() -> u64;
        sync link(tag: i64, process: u64) -> ();
        sync unlink(process: u64) -> ();
        sync monitor(process: u64) -> ();
        sync stop_monitoring(process: u64) -> ();
        sync kill(process: u64) -> ();
        sync exists(process: u64) -> u32;
    });
    Ok(())
}

/// Spawns `function` of a module (-1: the guest's own) under a configuration (-1: as the guest itself).
///
/// # Returns
/// 0: the process is at `id_out`; 1: an error is (denied, too many actors, no memory).
/// # Traps
/// An unknown module or configuration; a function's name that is not UTF-8; malformed parameters.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
async fn spawn(
    caller: &mut Caller<'_, Guest>,
    link: i64,
    config: i64,
    module: i64,
    function: u32,
    function_len: u32,
    params: u32,
    params_len: u32,
    id_out: u32,
) -> Result<u32> {
    let class = class_of(caller.data_mut(), config, module)?;
    let (memory, _) = split(caller)?;
    let (function, params) = (text(memory, function, function_len)?.to_owned(), read_params(memory, params, params_len)?);
    match spawn_function(caller, class.as_ref(), link, &function, params).await {
        Ok(id) => give_id(caller, id_out, id.0),
        Err(error) => give_error(caller, id_out, &error),
    }
}

/// Finds the process of that name; else spawns one as [`spawn`] does and gives it the name, before anybody else can.
///
/// # Returns
/// 0: spawned; 1: an error is at `id_out`; 2: found. Node and process are written for 0 and 2.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
async fn get_or_spawn(
    caller: &mut Caller<'_, Guest>,
    name: u32,
    name_len: u32,
    link: i64,
    config: i64,
    module: i64,
    function: u32,
    function_len: u32,
    params: u32,
    params_len: u32,
    node_out: u32,
    id_out: u32,
) -> Result<u32> {
    let class = class_of(caller.data_mut(), config, module)?;
    let (memory, _) = split(caller)?;
    let name = text(memory, name, name_len)?.to_owned();
    let (function, params) = (text(memory, function, function_len)?.to_owned(), read_params(memory, params, params_len)?);
    let system = Arc::clone(&caller.data().node.system);
    put_id(caller, node_out, 0)?;
    let reservation = match system.lookup_or_reserve(&name).await? {
        Lookup::Taken(id) => {
            put_id(caller, id_out, id.0)?;
            return Ok(FOUND);
        }
        Lookup::Reserved(reservation) => reservation,
    };
    match spawn_function(caller, class.as_ref(), link, &function, params).await {
        Ok(id) => {
            // One that has ended already leaves the name free.
            if let Some(actor) = system.find(id) {
                system.register_reserved(reservation, &actor)?;
            }
            give_id(caller, id_out, id.0)
        }
        Err(error) => give_error(caller, id_out, &error),
    }
}

async fn spawn_function(
    caller: &mut Caller<'_, Guest>,
    class: Option<&Arc<Class>>,
    link: i64,
    function: &str,
    params: Params,
) -> Result<ActorId, SpawnError> {
    let guest = caller.data();
    guest.class.check_spawn(&guest.class.name)?;
    let spawner = Spawner::Actor { actor: &guest.actor, class: &guest.class, link: link_tag(link) };
    guest.node.spawn(class.unwrap_or(&guest.class), Entry { function, params }, spawner).await
}

/// What a spawn with these makes: an actor of the guest's own class (`None`), or of one that is derived from it.
fn class_of(guest: &mut Guest, config: i64, module: i64) -> Result<Option<Arc<Class>>> {
    if (config, module) == (OWN, OWN) {
        return Ok(None);
    }
    let base = match module {
        OWN => Arc::clone(&guest.class),
        id => Arc::clone(&guest.makings().modules.get(id.cast_unsigned())?.class),
    };
    match config {
        OWN => Ok(Some(base)),
        id => Ok(Some(guest.makings().configurations.get_mut(id.cast_unsigned())?.class(&base))),
    }
}

/// Parameters are packed: a byte for the type, 16 for the value.
fn read_params(memory: &[u8], ptr: u32, len: u32) -> Result<Params> {
    let packed = bytes(memory, ptr, len)?.chunks_exact(PARAM_BYTES);
    if !packed.remainder().is_empty() {
        bail!("{len} bytes of parameters: each takes {PARAM_BYTES}");
    }
    Ok(packed.map(read_param).collect::<Result<SmallVec<[Val; 2]>>>()?.into())
}

fn read_param(packed: &[u8]) -> Result<Val> {
    let Some((&kind, value)) = packed.split_first() else { bail!("an empty parameter") };
    let bits = u128::from_le_bytes(value.try_into()?);
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = bits.to_le_bytes();
    match kind {
        0x7f => Ok(Val::I32(i32::from_le_bytes([b0, b1, b2, b3]))),
        0x7e => Ok(Val::I64(i64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]))),
        0x7b => Ok(Val::V128(V128::from(bits))),
        other => bail!("a parameter of the unknown type {other:#x}"),
    }
}

fn find(guest: &Guest, process: u64) -> Option<Arc<Actor>> {
    guest.node.system.find(ActorId(process))
}

/// # Suspends
/// For that long.
async fn sleep_ms(caller: &mut Caller<'_, Guest>, milliseconds: u64) -> Result<()> {
    caller.data().node.engine.sleep(Duration::from_millis(milliseconds)).await;
    Ok(())
}

/// Whether the caller dies with a linked process (the default), or receives a message.
fn die_when_link_dies(caller: &mut Caller<'_, Guest>, dies: u32) -> Result<()> {
    caller.data().actor.set_dies_with_links(dies != 0);
    Ok(())
}

fn process_id(caller: &mut Caller<'_, Guest>) -> Result<u64> {
    Ok(caller.data().actor.id().0)
}

/// An app is one environment.
fn environment_id(_: &mut Caller<'_, Guest>) -> Result<u64> {
    Ok(1)
}

/// Links the caller and a process, both ways. One that does not exist counts as having ended abnormally.
///
/// # Traps
/// One of the two has no memory left for a link.
fn link(caller: &mut Caller<'_, Guest>, tag: i64, process: u64) -> Result<()> {
    let guest = caller.data();
    match find(guest, process) {
        Some(peer) => guest.actor.link(&peer, tag)?,
        None => guest.actor.link_missed(ActorId(process), tag)?,
    }
    Ok(())
}

fn unlink(caller: &mut Caller<'_, Guest>, process: u64) -> Result<()> {
    caller.data().actor.unlink(ActorId(process));
    Ok(())
}

/// From now on the caller receives the end of a process, however it ends; of one that does not exist, at once.
///
/// # Traps
/// The caller has no memory left for a monitor.
fn monitor(caller: &mut Caller<'_, Guest>, process: u64) -> Result<()> {
    let guest = caller.data();
    match find(guest, process) {
        Some(watched) => guest.actor.monitor(&watched)?,
        None => guest.actor.monitor_missed(ActorId(process))?,
    }
    Ok(())
}

fn stop_monitoring(caller: &mut Caller<'_, Guest>, process: u64) -> Result<()> {
    caller.data().actor.stop_monitoring(ActorId(process));
    Ok(())
}

fn kill(caller: &mut Caller<'_, Guest>, process: u64) -> Result<()> {
    if let Some(actor) = find(caller.data(), process) {
        actor.kill();
    }
    Ok(())
}

fn exists(caller: &mut Caller<'_, Guest>, process: u64) -> Result<u32> {
    Ok(u32::from(find(caller.data(), process).is_some()))
}
