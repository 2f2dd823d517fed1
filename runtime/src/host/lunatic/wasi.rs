//! `lunatic::wasi`: what processes that are spawned under a configuration see through WASI. An unknown one traps.

use wasmtime::{Caller, Linker, Result};

use super::config::get;
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::owned_text;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::wasi", {
        sync config_add_environment_variable(config: u64, name: u32, name_len: u32, value: u32, value_len: u32) -> ();
        sync config_add_command_line_argument(config: u64, argument: u32, argument_len: u32) -> ();
        sync config_preopen_dir(config: u64, path: u32, path_len: u32) -> ();
    });
    Ok(())
}

/// # Traps
/// The caller has no memory for it.
fn config_add_environment_variable(
    caller: &mut Caller<'_, Guest>,
    config: u64,
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
) -> Result<()> {
    let (name, value) = (owned_text(caller, name, name_len)?, owned_text(caller, value, value_len)?);
    get(caller, config)?.add_variable(name, value)
}

/// # Traps
/// The caller has no memory for it.
fn config_add_command_line_argument(caller: &mut Caller<'_, Guest>, config: u64, argument: u32, argument_len: u32) -> Result<()> {
    let argument = owned_text(caller, argument, argument_len)?;
    get(caller, config)?.add_arg(argument)
}

/// Gives a folder of the caller's own, or one below it, by the path that the caller sees it under. One that the caller may
/// only read stays so.
///
/// # Traps
/// The caller does not see that folder; it cannot be opened; it is the 17th.
fn config_preopen_dir(caller: &mut Caller<'_, Guest>, config: u64, path: u32, path_len: u32) -> Result<()> {
    let path = owned_text(caller, path, path_len)?;
    get(caller, config)?.add_folder(&path)
}
