//! `lunatic::metrics`: figures that a guest counts under names of its choice, summed over the app.

use wasmtime::{Caller, Linker, Result};

use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{split, text};
use crate::host::metrics::Change;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::metrics", {
        sync counter(name: u32, name_len: u32, value: u64) -> ();
        sync increment_counter(name: u32, name_len: u32) -> ();
        sync gauge(name: u32, name_len: u32, value: f64) -> ();
        sync increment_gauge(name: u32, name_len: u32, value: f64) -> ();
        sync decrement_gauge(name: u32, name_len: u32, value: f64) -> ();
        sync histogram(name: u32, name_len: u32, value: f64) -> ();
    });
    Ok(())
}

/// Sets a counter, which never falls.
fn counter(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, value: u64) -> Result<()> {
    note(caller, name, name_len, Change::CounterAtLeast(value))
}

fn increment_counter(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32) -> Result<()> {
    note(caller, name, name_len, Change::CounterPlusOne)
}

fn gauge(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, value: f64) -> Result<()> {
    note(caller, name, name_len, Change::Gauge(value))
}

fn increment_gauge(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, value: f64) -> Result<()> {
    note(caller, name, name_len, Change::GaugePlus(value))
}

fn decrement_gauge(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, value: f64) -> Result<()> {
    note(caller, name, name_len, Change::GaugePlus(-value))
}

fn histogram(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, value: f64) -> Result<()> {
    note(caller, name, name_len, Change::Sample(value))
}

/// # Traps
/// The name is not UTF-8, or was used for a metric of another kind. One beyond the bounds is dropped.
fn note(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, change: Change) -> Result<()> {
    let (memory, guest) = split(caller)?;
    guest.node.metrics.note(text(memory, name, name_len)?, change)
}
