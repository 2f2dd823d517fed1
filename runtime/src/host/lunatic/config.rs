//! `lunatic::process`: configurations, under which a guest spawns processes that have less than it has itself.
//!
//! All of it traps on an unknown configuration. What a configuration can hold is in [`Configuration`].

use wasmtime::{Caller, Linker, Result};

use crate::configuration::{Configuration, Right};
use crate::guest::Guest;
use crate::host::import_module;

/// Result of a function that the caller has no permission for.
const DENIED: i64 = -1;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::process", {
        sync create_config() -> i64;
        sync drop_config(config: u64) -> ();
        sync config_set_max_memory(config: u64, bytes: u64) -> ();
        sync config_get_max_memory(config: u64) -> u64;
        sync config_set_max_fuel(config: u64, units: u64) -> ();
        sync config_get_max_fuel(config: u64) -> u64;
        sync config_can_compile_modules(config: u64) -> u32;
        sync config_set_can_compile_modules(config: u64, can: u32) -> ();
        sync config_can_create_configs(config: u64) -> u32;
        sync config_set_can_create_configs(config: u64, can: u32) -> ();
        sync config_can_spawn_processes(config: u64) -> u32;
        sync config_set_can_spawn_processes(config: u64, can: u32) -> ();
    });
    Ok(())
}

/// Makes a configuration that allows nothing, and limits memory to 4 GiB.
///
/// # Returns
/// Its id; -1: the caller may not (`permissions.configure`).
/// # Traps
/// The caller has no memory for it, or too many.
fn create_config(caller: &mut Caller<'_, Guest>) -> Result<i64> {
    let guest = caller.data_mut();
    if !guest.class.may(Right::Configure) {
        return Ok(DENIED);
    }
    let configuration = Configuration::new(&guest.actor, &guest.class)?;
    Ok(guest.makings().configurations.add(configuration)?.cast_signed())
}

/// Forgets a configuration. Processes that were spawned under it stay under it.
fn drop_config(caller: &mut Caller<'_, Guest>, config: u64) -> Result<()> {
    drop(caller.data_mut().makings().configurations.remove(config)?);
    Ok(())
}

/// The configuration of that id.
pub(super) fn get<'a>(caller: &'a mut Caller<'_, Guest>, config: u64) -> Result<&'a mut Configuration> {
    caller.data_mut().makings().configurations.get_mut(config)
}

/// Memory of each process that is spawned under it, in bytes. What is beyond the caller's own limit gives no more than that.
fn config_set_max_memory(caller: &mut Caller<'_, Guest>, config: u64, bytes: u64) -> Result<()> {
    get(caller, config)?.set_max_memory(bytes);
    Ok(())
}

fn config_get_max_memory(caller: &mut Caller<'_, Guest>, config: u64) -> Result<u64> {
    Ok(get(caller, config)?.max_memory)
}

/// Fuel of each process that is spawned under it: units of 1 ms of processor time; 0: as much as it wants. One that has
/// used it up traps.
fn config_set_max_fuel(caller: &mut Caller<'_, Guest>, config: u64, units: u64) -> Result<()> {
    get(caller, config)?.set_max_fuel(units);
    Ok(())
}

fn config_get_max_fuel(caller: &mut Caller<'_, Guest>, config: u64) -> Result<u64> {
    Ok(get(caller, config)?.max_fuel)
}

fn config_can_compile_modules(caller: &mut Caller<'_, Guest>, config: u64) -> Result<u32> {
    may(caller, config, Right::Compile)
}

/// # Traps
/// The caller may not itself.
fn config_set_can_compile_modules(caller: &mut Caller<'_, Guest>, config: u64, can: u32) -> Result<()> {
    get(caller, config)?.allow(Right::Compile, can != 0)
}

fn config_can_create_configs(caller: &mut Caller<'_, Guest>, config: u64) -> Result<u32> {
    may(caller, config, Right::Configure)
}

/// # Traps
/// The caller may not itself.
fn config_set_can_create_configs(caller: &mut Caller<'_, Guest>, config: u64, can: u32) -> Result<()> {
    get(caller, config)?.allow(Right::Configure, can != 0)
}

fn config_can_spawn_processes(caller: &mut Caller<'_, Guest>, config: u64) -> Result<u32> {
    may(caller, config, Right::Spawn)
}

/// # Traps
/// The caller may not itself.
fn config_set_can_spawn_processes(caller: &mut Caller<'_, Guest>, config: u64, can: u32) -> Result<()> {
    get(caller, config)?.allow(Right::Spawn, can != 0)
}

fn may(caller: &mut Caller<'_, Guest>, config: u64, right: Right) -> Result<u32> {
    Ok(u32::from(get(caller, config)?.may(right)))
}
