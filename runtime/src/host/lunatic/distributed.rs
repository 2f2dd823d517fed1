//! `lunatic::distributed`: every guest that spawns imports these; here there is one node, whose number is 0.

use wasmtime::{Caller, Linker, Result, bail};

use crate::guest::Guest;
use crate::host::import_module;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::distributed", {
        sync nodes_count() -> u32;
        sync get_nodes(out: u32, max: u32) -> u32;
        sync node_id() -> u64;
        sync module_id() -> u64;
        sync spawn(node: u64, config: i64, module: u64, function: u32, function_len: u32, params: u32, params_len: u32, id_out: u32) -> u32;
        sync send(node: u64, process: u64) -> u32;
        sync send_receive_skip_search(node: u64, process: u64, tag: i64, timeout: u64) -> u32;
    });
    Ok(())
}

fn nodes_count(_: &mut Caller<'_, Guest>) -> Result<u32> {
    Ok(0)
}

fn get_nodes(_: &mut Caller<'_, Guest>, _out: u32, _max: u32) -> Result<u32> {
    Ok(0)
}

fn node_id(_: &mut Caller<'_, Guest>) -> Result<u64> {
    Ok(0)
}

fn module_id(_: &mut Caller<'_, Guest>) -> Result<u64> {
    Ok(0)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn spawn(
    _: &mut Caller<'_, Guest>,
    node: u64,
    _config: i64,
    _module: u64,
    _function: u32,
    _function_len: u32,
    _params: u32,
    _params_len: u32,
    _id_out: u32,
) -> Result<u32> {
    no_such_node(node)
}

fn send(_: &mut Caller<'_, Guest>, node: u64, _process: u64) -> Result<u32> {
    no_such_node(node)
}

fn send_receive_skip_search(_: &mut Caller<'_, Guest>, node: u64, _process: u64, _tag: i64, _timeout: u64) -> Result<u32> {
    no_such_node(node)
}

fn no_such_node(node: u64) -> Result<u32> {
    bail!("there is no node {node}: actors of an app run on one node")
}
