//! Modules as values: compiling them (`lunatic::process`), and sending them (`lunatic::message`).

use wasmtime::{Caller, Linker, Result};

use super::{give_error, give_id};
use crate::actor::Resource;
use crate::configuration::Right;
use crate::engine::Program;
use crate::guest::Guest;
use crate::host::charge::{Charge, NoMemory};
use crate::host::import_module;
use crate::host::making::Module;
use crate::host::memory::{bytes, split};

/// Result of a function that the caller has no permission for.
const DENIED: i32 = -1;
/// What is charged for a handle of a module beside the module's code.
const HANDLE_BYTES: u64 = 1 << 10;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::process", {
        suspends compile_module(ptr: u32, len: u32, id_out: u32) -> i32;
        sync drop_module(module: u64) -> ();
    });
    import_module!(linker, "lunatic::message", {
        sync push_module(module: u64) -> u64;
        sync take_module(index: u64) -> u64;
    });
    Ok(())
}

/// Compiles a module. Its functions can then be spawned, with the caller's own permissions or fewer.
///
/// # Returns
/// 0: the module's id is at `id_out`; 1: an error's is (it is not valid, or does not link; no memory for it); -1: the
/// caller may not (`permissions.compile`).
/// # Suspends
/// Until it is compiled, after those that came before.
async fn compile_module(caller: &mut Caller<'_, Guest>, ptr: u32, len: u32, id_out: u32) -> Result<i32> {
    let (memory, guest) = split(caller)?;
    let module = bytes(memory, ptr, len)?;
    if !guest.class.may(Right::Compile) {
        return Ok(DENIED);
    }
    let compiled = match Charge::new(&guest.actor, u64::from(len)) {
        Ok(place) => {
            let name = format!("a module of {} bytes of actor {}", module.len(), guest.actor.id());
            guest.node.engine.compile_of_guest(name, module.to_vec(), place).await
        }
        Err(error) => Err(error.into()),
    };
    let result = match compiled.and_then(|program| keep(caller.data_mut(), program)) {
        Ok(id) => give_id(caller, id_out, id),
        Err(error) => give_error(caller, id_out, &error),
    };
    Ok(result?.cast_signed())
}

/// Forgets a module. Processes that run it go on.
///
/// # Traps
/// Unknown module.
fn drop_module(caller: &mut Caller<'_, Guest>, module: u64) -> Result<()> {
    drop(caller.data_mut().makings().modules.remove(module)?);
    Ok(())
}

/// Adds a module to the message that is written. The caller keeps it, too.
///
/// # Returns
/// Its index in the message.
/// # Traps
/// Unknown module; there is no message; no memory for it.
fn push_module(caller: &mut Caller<'_, Guest>, module: u64) -> Result<u64> {
    let guest = caller.data_mut();
    let program = guest.makings().module(module)?.clone();
    let bytes = program.image_bytes();
    guest.scratch.push(Resource::new(program, bytes))
}

/// Moves a module out of the message that was received.
///
/// # Returns
/// Its id.
/// # Traps
/// There is none at that index; no memory for it.
fn take_module(caller: &mut Caller<'_, Guest>, index: u64) -> Result<u64> {
    let guest = caller.data_mut();
    let program: Program = guest.scratch.pull(index)?;
    keep(guest, program)
}

/// Each who holds a module is charged for its code: nobody knows who of them drops it last.
fn keep(guest: &mut Guest, program: Program) -> Result<u64> {
    let bytes = u64::try_from(program.image_bytes())?.saturating_add(HANDLE_BYTES);
    let place = Charge::new(&guest.actor, bytes).map_err(|error: NoMemory| {
        wasmtime::format_err!("{}: no memory for its {bytes} bytes of code: {error}", program.name())
    })?;
    let module = Module::new(&guest.class, program, place);
    guest.makings().modules.add(module)
}
