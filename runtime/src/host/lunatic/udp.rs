//! `lunatic::networking`, UDP. Datagrams go between the socket and the guest's memory without a buffer in between.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::{Caller, Linker, Result};

use super::dns::{give_address, read_address};
use super::{give_error, give_id};
use crate::actor::Resource;
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes, bytes_mut, put_id, split};
use crate::host::net::{Gate, Held, UdpSocket};

/// Results of [`udp_peer_addr`] beside 0.
const NOT_CONNECTED: u32 = 1;
const OTHER_ERROR: u32 = 2;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::networking", {
        suspends udp_bind(kind: u32, address: u32, port: u32, flow: u32, scope: u32, id_out: u32) -> u32;
        sync udp_local_addr(socket: u64, id_out: u32) -> u32;
        sync udp_peer_addr(socket: u64, id_out: u32) -> u32;
        sync drop_udp_socket(socket: u64) -> ();
        sync clone_udp_socket(socket: u64) -> u64;
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
    import_module!(linker, "lunatic::message", {
        sync push_udp_socket(socket: u64) -> u64;
        sync take_udp_socket(index: u64) -> u64;
    });
    Ok(())
}

fn socket(caller: &Caller<'_, Guest>, socket: u64) -> Result<Arc<UdpSocket>> {
    Ok(Arc::clone(&caller.data().sockets.udp.get(socket)?.socket))
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
    let guest = caller.data();
    if let Err(denied) = Gate::listen(&guest.class.spec.permissions.network, &guest.class.name, address) {
        return give_error(caller, id_out, &denied);
    }
    let place = match guest.sockets.place() {
        Ok(place) => place,
        Err(full) => return give_error(caller, id_out, &full),
    };
    match UdpSocket::bind(address).await {
        Ok(socket) => {
            let id = caller.data_mut().sockets.udp.add(Held::new(Arc::new(socket), place))?;
            give_id(caller, id_out, id)
        }
        Err(error) => give_error(caller, id_out, &format_args!("cannot open a UDP socket on {address}: {error}")),
    }
}

fn udp_local_addr(caller: &mut Caller<'_, Guest>, id: u64, id_out: u32) -> Result<u32> {
    let address = socket(caller, id)?.local_address();
    give_address(caller, id_out, address)
}

/// # Returns
/// 0: a list with the address is at `id_out`; 1: it is not connected; 2: something else failed. An error is there then.
fn udp_peer_addr(caller: &mut Caller<'_, Guest>, id: u64, id_out: u32) -> Result<u32> {
    let address = socket(caller, id)?.peer_address();
    let failed = match &address {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => NOT_CONNECTED,
        _ => OTHER_ERROR,
    };
    let result = give_address(caller, id_out, address)?;
    Ok(if result == 0 { 0 } else { failed })
}

fn drop_udp_socket(caller: &mut Caller<'_, Guest>, socket: u64) -> Result<()> {
    caller.data_mut().sockets.udp.remove(socket).map(drop)
}

/// # Returns
/// A further handle of the same socket.
/// # Traps
/// The guest holds too many sockets.
fn clone_udp_socket(caller: &mut Caller<'_, Guest>, id: u64) -> Result<u64> {
    let socket = socket(caller, id)?;
    let sockets = &mut caller.data_mut().sockets;
    let place = sockets.place()?;
    sockets.udp.add(Held::new(socket, place))
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
    let socket = socket(caller, id)?;
    let address = read_address(caller, kind, address, port, flow, scope)?;
    let guest = caller.data();
    if let Err(denied) = guest.sockets.gate.connect(&guest.class.spec.permissions.network, &guest.class.name, address) {
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
    let socket = socket(caller, id)?;
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
    let socket = socket(caller, id)?;
    let address = read_address(caller, kind, address, port, flow, scope)?;
    let guest = caller.data();
    if let Err(denied) = guest.sockets.gate.connect(&guest.class.spec.permissions.network, &guest.class.name, address)
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
    let sent = loop {
        let (memory, _) = split(caller)?;
        let datagram = bytes(memory, ptr, len)?;
        let tried = match address {
            Some(address) => socket.try_send_to(datagram, address),
            None => socket.try_send(datagram),
        };
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => break done,
        }
        if let Err(error) = socket.writable().await {
            break Err(error);
        }
    };
    match sent {
        Ok(count) => give_id(caller, out, u64::try_from(count)?),
        Err(error) => give_error(caller, out, &error),
    }
}

/// Waits for a datagram. What is longer than `len` bytes is cut off.
///
/// # Returns
/// 0: the number of bytes is at `out`; 1: an error is.
async fn udp_receive(caller: &mut Caller<'_, Guest>, id: u64, ptr: u32, len: u32, out: u32) -> Result<u32> {
    match receive(caller, id, ptr, len).await? {
        Ok((count, _)) => give_id(caller, out, u64::try_from(count)?),
        Err(error) => give_error(caller, out, &error),
    }
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
    let socket = socket(caller, id)?;
    loop {
        let (memory, _) = split(caller)?;
        match socket.try_receive(bytes_mut(memory, ptr, len)?) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Ok(done),
        }
        if let Err(error) = socket.readable().await {
            return Ok(Err(error));
        }
    }
}

/// # Traps
/// The system refuses it.
fn set_udp_socket_broadcast(caller: &mut Caller<'_, Guest>, id: u64, on: u32) -> Result<()> {
    Ok(socket(caller, id)?.set_broadcast(on != 0)?)
}

fn get_udp_socket_broadcast(caller: &mut Caller<'_, Guest>, id: u64) -> Result<u32> {
    Ok(socket(caller, id)?.broadcast()?.into())
}

/// # Traps
/// The system refuses it: 1 to 255 hops are possible.
fn set_udp_socket_ttl(caller: &mut Caller<'_, Guest>, id: u64, hops: u32) -> Result<()> {
    Ok(socket(caller, id)?.set_ttl(hops)?)
}

fn get_udp_socket_ttl(caller: &mut Caller<'_, Guest>, id: u64) -> Result<u32> {
    Ok(socket(caller, id)?.ttl()?)
}

/// Moves a socket into the message.
///
/// # Returns
/// Its index in the message.
fn push_udp_socket(caller: &mut Caller<'_, Guest>, socket: u64) -> Result<u64> {
    let guest = caller.data_mut();
    guest.scratch.message()?;
    let held = guest.sockets.udp.remove(socket)?;
    guest.scratch.push(Resource::new(held.socket, 0))
}

/// Moves a socket out of the message.
///
/// # Returns
/// Its id.
/// # Traps
/// There is none at that index, or something else, which then stays; the guest holds too many sockets.
fn take_udp_socket(caller: &mut Caller<'_, Guest>, index: u64) -> Result<u64> {
    let guest = caller.data_mut();
    let place = guest.sockets.place()?;
    let socket: Arc<UdpSocket> = guest.scratch.pull(index)?;
    guest.sockets.udp.add(Held::new(socket, place))
}
