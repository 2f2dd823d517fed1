//! `lunatic::networking`, UDP. Datagrams go between the socket and the guest's memory without a buffer in between.

use std::io;
use std::net::SocketAddr;

use wasmtime::{Caller, Linker, Result};

use super::dns::{give_address, read_address};
use super::socket::{
    close, duplicate, give_socket, import_same, local_address, may_connect, place_to_listen, push, socket, take,
};
use super::stream::give_count;
use super::{give_error, give_id};
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes, bytes_mut, put_id, split};
use crate::host::net::UdpSocket;

/// Results of [`udp_peer_addr`] beside 0.
const NOT_CONNECTED: u32 = 1;
const OTHER_ERROR: u32 = 2;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::networking", {
        suspends udp_bind(kind: u32, address: u32, port: u32, flow: u32, scope: u32, id_out: u32) -> u32;
        sync udp_peer_addr(socket: u64, id_out: u32) -> u32;
        suspends udp_connect(socket: u64, kind: u32, address: u32, port: u32, flow: u32, scope: u32, timeout: u64, out: u32) -> u32;
        suspends udp_send(socket: u64, ptr: u32, len: u32, out: u32) -> u32;
        suspends udp_send_to(socket: u64, ptr: u32, len: u32, kind: u32, address: u32, port: u32, flow: u32, scope: u32, out: u32) -> u32;
        suspends udp_receive(socket: u64, ptr: u32, len: u32, out: u32) -> u32;
        suspends udp_receive_from(socket: u64, ptr: u32, len: u32, out: u32, sender_out: u32) -> u32;
        sync set_udp_socket_broadcast(socket: u64, on: u32) -> ();
        sync get_udp_socket_broadcast(socket: u64) -> u32;
        sync set_udp_socket_ttl(socket: u64, hops: u32) -> ();
        sync get_udp_socket_ttl(socket: u64) -> u32;
    });
    import_same!(linker, "lunatic::networking", {
        sync udp_local_addr(socket: u64, id_out: u32) -> u32 = local_address::<UdpSocket>;
        sync drop_udp_socket(socket: u64) -> () = close::<UdpSocket>;
        sync clone_udp_socket(socket: u64) -> u64 = duplicate::<UdpSocket>;
    });
    import_same!(linker, "lunatic::message", {
        sync push_udp_socket(socket: u64) -> u64 = push::<UdpSocket>;
        sync take_udp_socket(index: u64) -> u64 = take::<UdpSocket>;
    });
    Ok(())
}

/// Opens a socket. Needs a rule of `permissions.network.listen`, since from then on anybody can send to it.
///
/// # Returns
/// 0: the socket is at `id_out`; 1: an error is.
async fn udp_bind(
    caller: &mut Caller<'_, Guest>,
    kind: u32,
    address: u32,
    port: u32,
    flow: u32,
    scope: u32,
    id_out: u32,
) -> Result<u32> {
    let address = read_address(caller, kind, address, port, flow, scope)?;
    let place = match place_to_listen::<UdpSocket>(caller.data_mut(), address) {
        Ok(place) => place,
        Err(refused) => return give_error(caller, id_out, &refused),
    };
    let bound = UdpSocket::bind(address).await;
    give_socket(caller, id_out, place, bound.map_err(|error| format!("cannot open a UDP socket on {address}: {error}")))
}

/// # Returns
/// 0: a list with the address is at `id_out`; 1: it is not connected; 2: something else failed. An error is there then.
fn udp_peer_addr(caller: &mut Caller<'_, Guest>, id: u64, id_out: u32) -> Result<u32> {
    let address = socket::<UdpSocket>(caller, id)?.peer_address();
    let failed = match &address {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => NOT_CONNECTED,
        _ => OTHER_ERROR,
    };
    let result = give_address(caller, id_out, address)?;
    Ok(if result == 0 { 0 } else { failed })
}

/// Sets where [`udp_send`] sends to, and whom [`udp_receive`] hears. Needs a rule of `permissions.network.connect`.
/// Nothing is sent for it, so it never waits, and guests that pass a timeout of 0 lose nothing.
///
/// # Returns
/// 0: done; 1: an error is at `out`.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
async fn udp_connect(
    caller: &mut Caller<'_, Guest>,
    id: u64,
    kind: u32,
    address: u32,
    port: u32,
    flow: u32,
    scope: u32,
    _timeout: u64,
    out: u32,
) -> Result<u32> {
    let socket = socket::<UdpSocket>(caller, id)?;
    let address = read_address(caller, kind, address, port, flow, scope)?;
    if let Err(denied) = may_connect(caller.data_mut(), address) {
        return give_error(caller, out, &denied);
    }
    match socket.connect(address).await {
        Ok(()) => Ok(0),
        Err(error) => give_error(caller, out, &format_args!("cannot connect to {address}: {error}")),
    }
}

/// Sends a datagram to where the socket is connected.
///
/// # Returns
/// 0: the number of bytes is at `out`; 1: an error is.
async fn udp_send(caller: &mut Caller<'_, Guest>, id: u64, ptr: u32, len: u32, out: u32) -> Result<u32> {
    let socket = socket::<UdpSocket>(caller, id)?;
    send(caller, &socket, (ptr, len, out), None).await
}

/// Sends a datagram. Needs a rule of `permissions.network.connect`, unless it answers one that came from there lately.
///
/// # Returns
/// 0: the number of bytes is at `out`; 1: an error is.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
async fn udp_send_to(
    caller: &mut Caller<'_, Guest>,
    id: u64,
    ptr: u32,
    len: u32,
    kind: u32,
    address: u32,
    port: u32,
    flow: u32,
    scope: u32,
    out: u32,
) -> Result<u32> {
    let socket = socket::<UdpSocket>(caller, id)?;
    let address = read_address(caller, kind, address, port, flow, scope)?;
    if let Err(denied) = may_connect(caller.data_mut(), address)
        && !socket.heard_from(address)
    {
        return give_error(caller, out, &denied);
    }
    send(caller, &socket, (ptr, len, out), Some(address)).await
}

async fn send(
    caller: &mut Caller<'_, Guest>,
    socket: &UdpSocket,
    (ptr, len, out): (u32, u32, u32),
    address: Option<SocketAddr>,
) -> Result<u32> {
    let (memory, _) = split(caller)?;
    let sent = socket.send(bytes(memory, ptr, len)?, address).await;
    give_count(caller, out, Some(sent))
}

/// Waits for a datagram. What is longer than `len` bytes is cut off.
///
/// # Returns
/// 0: the number of bytes is at `out`; 1: an error is.
async fn udp_receive(caller: &mut Caller<'_, Guest>, id: u64, ptr: u32, len: u32, out: u32) -> Result<u32> {
    let received = receive(caller, id, ptr, len).await?;
    give_count(caller, out, Some(received.map(|(count, _)| count)))
}

/// As [`udp_receive`]; a list with the sender's address is at `sender_out` then.
async fn udp_receive_from(caller: &mut Caller<'_, Guest>, id: u64, ptr: u32, len: u32, out: u32, sender_out: u32) -> Result<u32> {
    match receive(caller, id, ptr, len).await? {
        Ok((count, sender)) => {
            let result = give_address(caller, sender_out, Ok(sender))?;
            if result != 0 {
                let (memory, _) = split(caller)?;
                let error: [u8; 8] = bytes(memory, sender_out, 8)?.try_into()?;
                put_id(caller, out, u64::from_le_bytes(error))?;
                return Ok(result);
            }
            give_id(caller, out, u64::try_from(count)?)
        }
        Err(error) => give_error(caller, out, &error),
    }
}

async fn receive(caller: &mut Caller<'_, Guest>, id: u64, ptr: u32, len: u32) -> Result<io::Result<(usize, SocketAddr)>> {
    let socket = socket::<UdpSocket>(caller, id)?;
    let (memory, _) = split(caller)?;
    Ok(socket.receive(bytes_mut(memory, ptr, len)?).await)
}

/// # Traps
/// The system refuses it.
fn set_udp_socket_broadcast(caller: &mut Caller<'_, Guest>, id: u64, on: u32) -> Result<()> {
    Ok(socket::<UdpSocket>(caller, id)?.set_broadcast(on != 0)?)
}

fn get_udp_socket_broadcast(caller: &mut Caller<'_, Guest>, id: u64) -> Result<u32> {
    Ok(socket::<UdpSocket>(caller, id)?.broadcast()?.into())
}

/// # Traps
/// The system refuses it: 1 to 255 hops are possible.
fn set_udp_socket_ttl(caller: &mut Caller<'_, Guest>, id: u64, hops: u32) -> Result<()> {
    Ok(socket::<UdpSocket>(caller, id)?.set_ttl(hops)?)
}

fn get_udp_socket_ttl(caller: &mut Caller<'_, Guest>, id: u64) -> Result<u32> {
    Ok(socket::<UdpSocket>(caller, id)?.ttl()?)
}
