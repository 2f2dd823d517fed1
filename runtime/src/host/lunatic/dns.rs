//! `lunatic::networking`, names: resolving, and the lists of addresses that other functions return too.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use wasmtime::{Caller, Linker, Result, bail};

use super::{TIMED_OUT, give_error, give_id};
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes, bytes_mut, owned_text, put, put_id, split};
use crate::host::net::{Gate, name_of, within};

/// Result of [`resolve_next`] at the end of the list.
const NO_MORE: u32 = 1;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::networking", {
        suspends resolve(name: u32, name_len: u32, timeout: u64, id_out: u32) -> u32;
        sync resolve_next(list: u64, kind_out: u32, address_out: u32, port_out: u32, flow_out: u32, scope_out: u32) -> u32;
        sync drop_dns_iterator(list: u64) -> ();
    });
    Ok(())
}

/// Resolves `host:port`. A name needs a rule of `permissions.network.connect`.
///
/// # Returns
/// 0: a list of addresses is at `id_out`; 1: an error is; 9027: `timeout` milliseconds are over.
async fn resolve(caller: &mut Caller<'_, Guest>, name: u32, name_len: u32, timeout: u64, id_out: u32) -> Result<u32> {
    let name = owned_text(caller, name, name_len)?;
    match within(timeout, lookup(caller, &name)).await {
        None => {
            put_id(caller, id_out, 0)?;
            Ok(TIMED_OUT)
        }
        Some(Err(error)) => give_error(caller, id_out, &error),
        Some(Ok(addresses)) => match caller.data_mut().sockets().add_addresses(addresses.into()) {
            Ok(list) => give_id(caller, id_out, list),
            Err(full) => give_error(caller, id_out, &full),
        },
    }
}

/// The addresses of `host:port`, of which rules by that name hold from now on.
pub(super) async fn lookup(caller: &mut Caller<'_, Guest>, name: &str) -> Result<Vec<SocketAddr>, String> {
    let guest = caller.data();
    let (class, node) = (Arc::clone(&guest.class), Arc::clone(&guest.node));
    let rules = &class.spec.permissions.network;
    let Some(host) = name_of(name) else { return node.resolver.resolve(name).await };
    Gate::resolve(rules, &class.name, host).map_err(|denied| denied.to_string())?;
    let addresses = node.resolver.resolve(name).await?;
    caller.data_mut().sockets().gate.resolved(rules, host, &addresses);
    Ok(addresses)
}

/// Takes the next address of a list: kind (4 or 6) and port, and for 6 also flow and scope.
///
/// # Returns
/// 0: written; 1: there is none left.
/// # Traps
/// Unknown list.
fn resolve_next(
    caller: &mut Caller<'_, Guest>,
    list: u64,
    kind_out: u32,
    address_out: u32,
    port_out: u32,
    flow_out: u32,
    scope_out: u32,
) -> Result<u32> {
    let (memory, guest) = split(caller)?;
    let Some(address) = guest.sockets().addresses.get_mut(list)?.left.pop_front() else { return Ok(NO_MORE) };
    match address {
        SocketAddr::V4(v4) => {
            put(memory, kind_out, 4u32.to_le_bytes())?;
            put(memory, address_out, v4.ip().octets())?;
        }
        SocketAddr::V6(v6) => {
            put(memory, kind_out, 6u32.to_le_bytes())?;
            bytes_mut(memory, address_out, 16)?.copy_from_slice(&v6.ip().octets());
            put(memory, flow_out, v6.flowinfo().to_le_bytes())?;
            put(memory, scope_out, v6.scope_id().to_le_bytes())?;
        }
    }
    put(memory, port_out, address.port().to_le_bytes())?;
    Ok(0)
}

fn drop_dns_iterator(caller: &mut Caller<'_, Guest>, list: u64) -> Result<()> {
    caller.data_mut().sockets().addresses.remove(list).map(drop)
}

/// Leaves a list with one address, or an error.
pub(super) fn give_address(caller: &mut Caller<'_, Guest>, out: u32, address: io::Result<SocketAddr>) -> Result<u32> {
    let list = match address {
        Ok(address) => caller.data_mut().sockets().add_addresses(VecDeque::from([address])),
        Err(error) => return give_error(caller, out, &error),
    };
    match list {
        Ok(list) => give_id(caller, out, list),
        Err(full) => give_error(caller, out, &full),
    }
}

/// An address as guests pass it.
///
/// # Traps
/// A kind other than 4 and 6; a port above 65535.
pub(super) fn read_address(
    caller: &mut Caller<'_, Guest>,
    kind: u32,
    address: u32,
    port: u32,
    flow: u32,
    scope: u32,
) -> Result<SocketAddr> {
    let (memory, _) = split(caller)?;
    let port = u16::try_from(port)?;
    match kind {
        4 => {
            let octets: [u8; 4] = bytes(memory, address, 4)?.try_into()?;
            Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(octets)), port))
        }
        6 => {
            let octets: [u8; 16] = bytes(memory, address, 16)?.try_into()?;
            Ok(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into())
        }
        other => bail!("an address of the unknown kind {other}: 4 and 6 are known"),
    }
}
