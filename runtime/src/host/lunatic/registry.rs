//! `lunatic::registry`: names of processes. A name goes with its process.

use wasmtime::{Caller, Linker, Result};

use crate::actor::ActorId;
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{owned_text, put_id};

/// The number of this node: none.
const LOCAL_NODE: u64 = 0;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::registry", {
        sync put(name: u32, name_len: u32, node: u64, process: u64) -> ();
        suspends get(name: u32, name_len: u32, node_out: u32, process_out: u32) -> u32;
        sync remove(name: u32, name_len: u32) -> ();
    });
    Ok(())
}

/// Names a process, whoever had the name before. A dead one gets none.
///
/// # Traps
/// The name is too long; the process has too many.
fn put(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, _node: u64, process: u64) -> Result<()> {
    let name = owned_text(caller, name, name_len)?;
    Ok(caller.data().node.system.register(&name, ActorId(process))?)
}

/// # Returns
/// 0: node and process are written; 1: nobody has the name.
/// # Suspends
/// While another process is about to give the name.
async fn get(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, node_out: u32, process_out: u32) -> Result<u32> {
    let name = owned_text(caller, name, name_len)?;
    let Some(id) = caller.data().node.system.lookup(&name).await else { return Ok(1) };
    put_id(caller, node_out, LOCAL_NODE)?;
    put_id(caller, process_out, id.0)?;
    Ok(0)
}

/// Takes a name away, if there is one.
fn remove(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32) -> Result<()> {
    let name = owned_text(caller, name, name_len)?;
    caller.data().node.system.unregister(&name);
    Ok(())
}
