//! `lunatic::distributed`: every guest that spawns imports these; here there is one node, whose number is 0.

use wasmtime::{Caller, Linker, Result, bail};

use super::give_error;
use crate::guest::Guest;
use crate::host::import_module;

/// What everything says that would need a second node.
const NOT_DISTRIBUTED: &str = "not distributed: actors of an app run on one node";

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::distributed", {
        sync nodes_count() -> u32;
        sync get_nodes(out: u32, max: u32) -> u32;
        sync node_id() -> u64;
        sync module_id() -> u64;
        sync spawn(node: u64, config: i64, module: u64, function: u32, function_len: u32, params: u32, params_len: u32, id_out: u32) -> u32;
        sync send(node: u64, process: u64) -> u32;
        sync send_receive_skip_search(node: u64, process: u64, tag: i64, timeout: u64) -> u32;
        sync exec_lookup_nodes(query: u32, query_len: u32, id_out: u32, count_out: u32, error_out: u32) -> u32;
        sync copy_lookup_nodes_results(query: u64, out: u32, max: u32, error_out: u32) -> i32;
        sync test_root_cert(len_out: u32) -> u32;
        sync default_server_certificates(cert: u32, cert_len: u32, key: u32, key_len: u32, len_out: u32) -> u32;
        sync sign_node(cert: u32, cert_len: u32, key: u32, key_len: u32, csr: u32, csr_len: u32, len_out: u32) -> u32;
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
    bail!("there is no node {node}: {NOT_DISTRIBUTED}")
}

/// Looks nodes up by their attributes.
///
/// # Returns
/// 1: an error's id is at `error_out`, always.
fn exec_lookup_nodes(
    caller: &mut Caller<'_, Guest>,
    _query: u32,
    _query_len: u32,
    _id_out: u32,
    _count_out: u32,
    error_out: u32,
) -> Result<u32> {
    give_error(caller, error_out, &NOT_DISTRIBUTED)
}

/// # Returns
/// -1: an error's id is at `error_out`, always.
fn copy_lookup_nodes_results(caller: &mut Caller<'_, Guest>, _query: u64, _out: u32, _max: u32, error_out: u32) -> Result<i32> {
    give_error(caller, error_out, &NOT_DISTRIBUTED)?;
    Ok(-1)
}

fn test_root_cert(_: &mut Caller<'_, Guest>, _len_out: u32) -> Result<u32> {
    bail!(NOT_DISTRIBUTED)
}

fn default_server_certificates(
    _: &mut Caller<'_, Guest>,
    _cert: u32,
    _cert_len: u32,
    _key: u32,
    _key_len: u32,
    _len_out: u32,
) -> Result<u32> {
    bail!(NOT_DISTRIBUTED)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn sign_node(
    _: &mut Caller<'_, Guest>,
    _cert: u32,
    _cert_len: u32,
    _key: u32,
    _key_len: u32,
    _csr: u32,
    _csr_len: u32,
    _len_out: u32,
) -> Result<u32> {
    bail!(NOT_DISTRIBUTED)
}
