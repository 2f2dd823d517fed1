//! `lunatic::trap`: running a function of the guest so that its trap does not end the guest.

use wasmtime::{Caller, Extern, Linker, Result, bail};

use crate::guest::Guest;
use crate::host::import_module;

/// The guest's function that calls what it is given.
const CALLBACK: &str = "_lunatic_catch_trap";

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::trap", {
        suspends catch(function: i32, pointer: i32) -> i32;
    });
    Ok(())
}

/// Calls the guest's export `_lunatic_catch_trap` with both arguments. A kill is not caught.
///
/// # Returns
/// What it returns; 0 if it trapped.
/// # Traps
/// There is no such export.
/// # Suspends
/// Whenever the called function does.
async fn catch(caller: &mut Caller<'_, Guest>, function: i32, pointer: i32) -> Result<i32> {
    let Some(callback) = caller.get_export(CALLBACK).and_then(Extern::into_func) else {
        bail!("the module exports no function {CALLBACK:?}");
    };
    let callback = callback.typed::<(i32, i32), i32>(&mut *caller)?;
    Ok(callback.call_async(&mut *caller, (function, pointer)).await.unwrap_or(0))
}
