//! Imports of the module `perigee`: what a core module can do here beyond the Lunatic ABI.

mod message;

use wasmtime::{Caller, Linker, Result};

use super::import_module;
use super::lunatic::{give_error, give_id, link_tag};
use super::memory::owned_text;
use crate::guest::Guest;
use crate::spawn::{Entry, Params, Spawner};

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "perigee", {
        sync on_shutdown() -> ();
        suspends spawn(name: u32, name_len: u32, link: i64, id_out: u32) -> u32;
    });
    message::add_to_linker(linker)
}

/// Keeps the message that was written, as `lunatic::message::send` would take it: the caller gets it when the app stops, and
/// then has the grace period to end. It replaces one that was kept before.
///
/// # Traps
/// No message was written; it and the guest together are beyond limits.memory.
fn on_shutdown(caller: &mut Caller<'_, Guest>) -> Result<()> {
    let guest = caller.data_mut();
    let message = guest.scratch.take()?;
    match guest.node.system.on_stop(&guest.actor, message) {
        Ok(()) => Ok(()),
        Err(wanted) => wasmtime::bail!("no memory for the shutdown message: {wanted} bytes in all, beyond limits.memory"),
    }
}

/// Spawns an actor of a declared class.
///
/// # Returns
/// 0: the actor's id is at `id_out`. 1: an error's id is there (denied, unknown class, too many actors, no memory).
///
/// # Traps
/// A range outside of the guest's memory; a name that is not UTF-8.
///
/// # Suspends
/// While the module's own start function runs, if it has one.
async fn spawn(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, link: i64, id_out: u32) -> Result<u32> {
    let name = owned_text(caller, name, name_len)?;
    let guest = caller.data();
    let spawned = match guest.node.spawnable(&guest.class, &name) {
        Ok(class) => {
            let spawner = Spawner::Actor { actor: &guest.actor, class: &guest.class, link: link_tag(link) };
            let entry = Entry { function: &class.spec.entrypoint, params: Params::None };
            guest.node.spawn(&class, entry, spawner).await
        }
        Err(error) => Err(error),
    };
    match spawned {
        Ok(id) => give_id(caller, id_out, id.0),
        Err(error) => give_error(caller, id_out, &error),
    }
}
