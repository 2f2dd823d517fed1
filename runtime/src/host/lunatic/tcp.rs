//! `lunatic::networking`, TCP.

use std::sync::atomic::Ordering;

use wasmtime::{Caller, Linker, Result};

use super::dns::{give_address, read_address};
use super::socket::{
    close, duplicate, give_socket, import_same, local_address, may_connect, place_to_listen, push, socket, take,
};
use super::stream::{accept, flush, get_timeout, give_count, read, set_timeout, write};
use super::{TIMED_OUT, give_error};
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes_mut, split};
use crate::host::net::{Connection, Listener, Stream, within};

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::networking", {
        suspends tcp_bind(kind: u32, address: u32, port: u32, flow: u32, scope: u32, id_out: u32) -> u32;
        suspends tcp_connect(kind: u32, address: u32, port: u32, flow: u32, scope: u32, timeout: u64, id_out: u32) -> u32;
        sync tcp_peer_addr(stream: u64, id_out: u32) -> u32;
        suspends tcp_peek(stream: u64, ptr: u32, len: u32, out: u32) -> u32;
    });
    import_same!(linker, "lunatic::networking", {
        sync drop_tcp_listener(listener: u64) -> () = close::<Listener>;
        sync tcp_local_addr(listener: u64, id_out: u32) -> u32 = local_address::<Listener>;
        suspends tcp_accept(listener: u64, id_out: u32, peer_out: u32) -> u32 = accept::<Listener>;
        sync drop_tcp_stream(stream: u64) -> () = close::<Stream>;
        sync clone_tcp_stream(stream: u64) -> u64 = duplicate::<Stream>;
        suspends tcp_write_vectored(stream: u64, pieces: u32, count: u32, out: u32) -> u32 = write::<Stream>;
        suspends tcp_read(stream: u64, ptr: u32, len: u32, out: u32) -> u32 = read::<Stream>;
        suspends tcp_flush(stream: u64, error_out: u32) -> u32 = flush::<Stream>;
        sync set_read_timeout(stream: u64, milliseconds: u64) -> () = |caller, id, to| set_timeout::<Stream>(caller, id, to, |waits| &waits.read);
        sync set_write_timeout(stream: u64, milliseconds: u64) -> () = |caller, id, to| set_timeout::<Stream>(caller, id, to, |waits| &waits.write);
        sync set_peek_timeout(stream: u64, milliseconds: u64) -> () = |caller, id, to| set_timeout::<Stream>(caller, id, to, |waits| &waits.peek);
        sync get_read_timeout(stream: u64) -> u64 = |caller, id| get_timeout::<Stream>(caller, id, |waits| &waits.read);
        sync get_write_timeout(stream: u64) -> u64 = |caller, id| get_timeout::<Stream>(caller, id, |waits| &waits.write);
        sync get_peek_timeout(stream: u64) -> u64 = |caller, id| get_timeout::<Stream>(caller, id, |waits| &waits.peek);
    });
    import_same!(linker, "lunatic::message", {
        sync push_tcp_stream(stream: u64) -> u64 = push::<Stream>;
        sync take_tcp_stream(index: u64) -> u64 = take::<Stream>;
    });
    Ok(())
}

/// Listens. Needs a rule of `permissions.network.listen`.
///
/// # Returns
/// 0: the listener is at `id_out`; 1: an error is.
async fn tcp_bind(
    caller: &mut Caller<'_, Guest>,
    kind: u32,
    address: u32,
    port: u32,
    flow: u32,
    scope: u32,
    id_out: u32,
) -> Result<u32> {
    let address = read_address(caller, kind, address, port, flow, scope)?;
    let guest = caller.data_mut();
    let place = match place_to_listen::<Listener>(guest, address) {
        Ok(place) => place,
        Err(refused) => return give_error(caller, id_out, &refused),
    };
    let bound = Listener::bind(address, guest.node.draining.clone()).await;
    give_socket(caller, id_out, place, bound.map_err(|error| format!("cannot listen on {address}: {error}")))
}

/// Connects. Needs a rule of `permissions.network.connect`.
///
/// # Returns
/// 0: the stream is at `id_out`; 1: an error is; 9027: `timeout` milliseconds are over.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
async fn tcp_connect(
    caller: &mut Caller<'_, Guest>,
    kind: u32,
    address: u32,
    port: u32,
    flow: u32,
    scope: u32,
    timeout: u64,
    id_out: u32,
) -> Result<u32> {
    let address = read_address(caller, kind, address, port, flow, scope)?;
    let guest = caller.data_mut();
    if let Err(denied) = may_connect(guest, address) {
        return give_error(caller, id_out, &denied);
    }
    let place = match guest.sockets().place::<Stream>() {
        Ok(place) => place,
        Err(full) => return give_error(caller, id_out, &full),
    };
    let open = guest.node.open_streams.clone();
    match within(timeout, Stream::connect(address, &open)).await {
        None => Ok(TIMED_OUT),
        Some(done) => give_socket(caller, id_out, place, done.map_err(|error| format!("cannot connect to {address}: {error}"))),
    }
}

fn tcp_peer_addr(caller: &mut Caller<'_, Guest>, stream: u64, id_out: u32) -> Result<u32> {
    let address = socket::<Stream>(caller, stream)?.peer_address();
    give_address(caller, id_out, address)
}

/// As [`read`], but leaves the bytes to be read again.
async fn tcp_peek(caller: &mut Caller<'_, Guest>, stream: u64, ptr: u32, len: u32, out: u32) -> Result<u32> {
    let stream = socket::<Stream>(caller, stream)?;
    let (memory, _) = split(caller)?;
    let buffer = bytes_mut(memory, ptr, len)?;
    let waits = stream.waits();
    let peeking = async {
        let _turn = waits.reader.lock().await;
        stream.peek(buffer).await
    };
    let done = within(waits.peek.load(Ordering::Relaxed), peeking).await;
    give_count(caller, out, done)
}
