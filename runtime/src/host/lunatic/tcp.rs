//! `lunatic::networking`, TCP: blocking calls for the guest, readiness for the host. Bytes go between the socket and the
//! guest's memory without a buffer in between.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{Caller, Linker, Result};

use super::dns::{give_address, read_address};
use super::{TIMED_OUT, give_error, give_id};
use crate::actor::Resource;
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes, bytes_mut, put_id, split};
use crate::host::net::{Gate, Held, Listener, Stream, within};

/// Pieces of one vectored write that are passed on: as many as Linux takes (`UIO_MAXIOV`).
const MAX_PIECES: u32 = 1024;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::networking", {
        suspends tcp_bind(kind: u32, address: u32, port: u32, flow: u32, scope: u32, id_out: u32) -> u32;
        sync drop_tcp_listener(listener: u64) -> ();
        sync tcp_local_addr(listener: u64, id_out: u32) -> u32;
        suspends tcp_accept(listener: u64, id_out: u32, peer_out: u32) -> u32;
        suspends tcp_connect(kind: u32, address: u32, port: u32, flow: u32, scope: u32, timeout: u64, id_out: u32) -> u32;
        sync tcp_peer_addr(stream: u64, id_out: u32) -> u32;
        sync drop_tcp_stream(stream: u64) -> ();
        sync clone_tcp_stream(stream: u64) -> u64;
        suspends tcp_write_vectored(stream: u64, pieces: u32, count: u32, out: u32) -> u32;
        suspends tcp_read(stream: u64, ptr: u32, len: u32, out: u32) -> u32;
        suspends tcp_peek(stream: u64, ptr: u32, len: u32, out: u32) -> u32;
        sync set_read_timeout(stream: u64, milliseconds: u64) -> ();
        sync set_write_timeout(stream: u64, milliseconds: u64) -> ();
        sync set_peek_timeout(stream: u64, milliseconds: u64) -> ();
        sync get_read_timeout(stream: u64) -> u64;
        sync get_write_timeout(stream: u64) -> u64;
        sync get_peek_timeout(stream: u64) -> u64;
        sync tcp_flush(stream: u64, error_out: u32) -> u32;
    });
    import_module!(linker, "lunatic::message", {
        sync push_tcp_stream(stream: u64) -> u64;
        sync take_tcp_stream(index: u64) -> u64;
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
    let guest = caller.data();
    if let Err(denied) = Gate::listen(&guest.class.spec.permissions.network, &guest.class.name, address) {
        return give_error(caller, id_out, &denied);
    }
    let place = match guest.sockets.place() {
        Ok(place) => place,
        Err(full) => return give_error(caller, id_out, &full),
    };
    let draining = guest.node.draining.clone();
    match Listener::bind(address, draining).await {
        Ok(listener) => {
            let id = caller.data_mut().sockets.listeners.add(Held::new(Arc::new(listener), place))?;
            give_id(caller, id_out, id)
        }
        Err(error) => give_error(caller, id_out, &format_args!("cannot listen on {address}: {error}")),
    }
}

fn drop_tcp_listener(caller: &mut Caller<'_, Guest>, listener: u64) -> Result<()> {
    caller.data_mut().sockets.listeners.remove(listener).map(drop)
}

fn tcp_local_addr(caller: &mut Caller<'_, Guest>, listener: u64, id_out: u32) -> Result<u32> {
    let address = caller.data().sockets.listeners.get(listener)?.socket.local_address();
    give_address(caller, id_out, address)
}

/// Waits for a connection.
///
/// # Returns
/// 0: stream and list with the peer's address are written; 1: an error is at `id_out`, as when the app shuts down.
async fn tcp_accept(caller: &mut Caller<'_, Guest>, listener: u64, id_out: u32, peer_out: u32) -> Result<u32> {
    let guest = caller.data();
    let listener = Arc::clone(&guest.sockets.listeners.get(listener)?.socket);
    let place = match guest.sockets.place() {
        Ok(place) => place,
        // The connection waits in the system's queue until there is room.
        Err(full) => return refuse_accept(caller, id_out, peer_out, &full),
    };
    let open = guest.node.open_streams.clone();
    let (stream, peer) = match listener.accept(&open).await {
        Ok(accepted) => accepted,
        Err(error) => return refuse_accept(caller, id_out, peer_out, &error),
    };
    match caller.data_mut().sockets.add_addresses([peer].into()) {
        Ok(list) => put_id(caller, peer_out, list)?,
        Err(full) => return refuse_accept(caller, id_out, peer_out, &full),
    }
    let id = caller.data_mut().sockets.streams.add(Held::new(Arc::new(stream), place))?;
    give_id(caller, id_out, id)
}

fn refuse_accept(caller: &mut Caller<'_, Guest>, id_out: u32, peer_out: u32, error: &dyn std::fmt::Display) -> Result<u32> {
    put_id(caller, peer_out, 0)?;
    give_error(caller, id_out, error)
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
    let guest = caller.data();
    if let Err(denied) = guest.sockets.gate.connect(&guest.class.spec.permissions.network, &guest.class.name, address) {
        return give_error(caller, id_out, &denied);
    }
    let place = match guest.sockets.place() {
        Ok(place) => place,
        Err(full) => return give_error(caller, id_out, &full),
    };
    let open = guest.node.open_streams.clone();
    match within(timeout, Stream::connect(address, &open)).await {
        None => Ok(TIMED_OUT),
        Some(Ok(stream)) => {
            let id = caller.data_mut().sockets.streams.add(Held::new(Arc::new(stream), place))?;
            give_id(caller, id_out, id)
        }
        Some(Err(error)) => give_error(caller, id_out, &format_args!("cannot connect to {address}: {error}")),
    }
}

fn tcp_peer_addr(caller: &mut Caller<'_, Guest>, stream: u64, id_out: u32) -> Result<u32> {
    let address = caller.data().sockets.streams.get(stream)?.socket.peer_address();
    give_address(caller, id_out, address)
}

fn drop_tcp_stream(caller: &mut Caller<'_, Guest>, stream: u64) -> Result<()> {
    caller.data_mut().sockets.streams.remove(stream).map(drop)
}

/// # Returns
/// A further handle of the same connection.
/// # Traps
/// The guest holds too many sockets.
fn clone_tcp_stream(caller: &mut Caller<'_, Guest>, stream: u64) -> Result<u64> {
    let sockets = &mut caller.data_mut().sockets;
    let (stream, place) = (Arc::clone(&sockets.streams.get(stream)?.socket), sockets.place()?);
    sockets.streams.add(Held::new(stream, place))
}

/// Writes pieces, each given as pointer and length.
///
/// # Returns
/// 0: the number of bytes written, maybe fewer than given, is at `out`; 1: an error is; 9027: the write timeout is over.
async fn tcp_write_vectored(caller: &mut Caller<'_, Guest>, stream: u64, pieces: u32, count: u32, out: u32) -> Result<u32> {
    let stream = Arc::clone(&caller.data().sockets.streams.get(stream)?.socket);
    let waiting = within(stream.write_timeout.load(Ordering::Relaxed), async {
        let _turn = stream.writer.lock().await;
        loop {
            let (memory, _) = split(caller)?;
            match stream.try_write(&gather(memory, pieces, count)?) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Ok::<_, wasmtime::Error>(done),
            }
            if let Err(error) = stream.writable().await {
                return Ok(Err(error));
            }
        }
    });
    let done = waiting.await.transpose()?;
    give_count(caller, out, done)
}

fn gather(memory: &[u8], pieces: u32, count: u32) -> Result<Vec<IoSlice<'_>>> {
    let list = bytes(memory, pieces, count.min(MAX_PIECES).saturating_mul(8))?;
    let word = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes);
    list.chunks_exact(8)
        .map(|pair| {
            let (ptr, len) = pair.split_at(4);
            bytes(memory, word(ptr)?, word(len)?).map(IoSlice::new)
        })
        .collect()
}

/// Reads what is there, or waits for something.
///
/// # Returns
/// 0: the number of bytes, 0 at the end of the stream, is at `out`; 1: an error is; 9027: the read timeout is over.
async fn tcp_read(caller: &mut Caller<'_, Guest>, stream: u64, ptr: u32, len: u32, out: u32) -> Result<u32> {
    let stream = Arc::clone(&caller.data().sockets.streams.get(stream)?.socket);
    let timeout = stream.read_timeout.load(Ordering::Relaxed);
    read_into(caller, &stream, timeout, (ptr, len, out), Stream::try_read).await
}

/// As [`tcp_read`], but leaves the bytes to be read again.
async fn tcp_peek(caller: &mut Caller<'_, Guest>, stream: u64, ptr: u32, len: u32, out: u32) -> Result<u32> {
    let stream = Arc::clone(&caller.data().sockets.streams.get(stream)?.socket);
    let timeout = stream.peek_timeout.load(Ordering::Relaxed);
    read_into(caller, &stream, timeout, (ptr, len, out), Stream::try_peek).await
}

async fn read_into(
    caller: &mut Caller<'_, Guest>,
    stream: &Stream,
    timeout: u64,
    (ptr, len, out): (u32, u32, u32),
    read: fn(&Stream, &mut [u8]) -> io::Result<usize>,
) -> Result<u32> {
    let waiting = within(timeout, async {
        let _turn = stream.reader.lock().await;
        loop {
            let (memory, _) = split(caller)?;
            match read(stream, bytes_mut(memory, ptr, len)?) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Ok::<_, wasmtime::Error>(done),
            }
            if let Err(error) = stream.readable().await {
                return Ok(Err(error));
            }
        }
    });
    let done = waiting.await.transpose()?;
    give_count(caller, out, done)
}

fn give_count(caller: &mut Caller<'_, Guest>, out: u32, done: Option<io::Result<usize>>) -> Result<u32> {
    match done {
        None => Ok(TIMED_OUT),
        Some(Ok(count)) => give_id(caller, out, u64::try_from(count)?),
        Some(Err(error)) => give_error(caller, out, &error),
    }
}

fn setting(caller: &Caller<'_, Guest>, stream: u64, which: fn(&Stream) -> &AtomicU64) -> Result<u64> {
    Ok(which(&caller.data().sockets.streams.get(stream)?.socket).load(Ordering::Relaxed))
}

fn set(caller: &Caller<'_, Guest>, stream: u64, which: fn(&Stream) -> &AtomicU64, milliseconds: u64) -> Result<()> {
    which(&caller.data().sockets.streams.get(stream)?.socket).store(milliseconds, Ordering::Relaxed);
    Ok(())
}

fn set_read_timeout(caller: &mut Caller<'_, Guest>, stream: u64, milliseconds: u64) -> Result<()> {
    set(caller, stream, |stream| &stream.read_timeout, milliseconds)
}

fn set_write_timeout(caller: &mut Caller<'_, Guest>, stream: u64, milliseconds: u64) -> Result<()> {
    set(caller, stream, |stream| &stream.write_timeout, milliseconds)
}

fn set_peek_timeout(caller: &mut Caller<'_, Guest>, stream: u64, milliseconds: u64) -> Result<()> {
    set(caller, stream, |stream| &stream.peek_timeout, milliseconds)
}

fn get_read_timeout(caller: &mut Caller<'_, Guest>, stream: u64) -> Result<u64> {
    setting(caller, stream, |stream| &stream.read_timeout)
}

fn get_write_timeout(caller: &mut Caller<'_, Guest>, stream: u64) -> Result<u64> {
    setting(caller, stream, |stream| &stream.write_timeout)
}

fn get_peek_timeout(caller: &mut Caller<'_, Guest>, stream: u64) -> Result<u64> {
    setting(caller, stream, |stream| &stream.peek_timeout)
}

/// Nothing is held back on this side, so there is nothing to do.
///
/// # Returns
/// 0, and 0 at `error_out`.
fn tcp_flush(caller: &mut Caller<'_, Guest>, stream: u64, error_out: u32) -> Result<u32> {
    caller.data().sockets.streams.get(stream)?;
    put_id(caller, error_out, 0)?;
    Ok(0)
}

/// Moves a stream into the message.
///
/// # Returns
/// Its index in the message.
fn push_tcp_stream(caller: &mut Caller<'_, Guest>, stream: u64) -> Result<u64> {
    let guest = caller.data_mut();
    guest.scratch.message()?;
    let held = guest.sockets.streams.remove(stream)?;
    guest.scratch.push(Resource::new(held.socket, 0))
}

/// Moves a stream out of the message.
///
/// # Returns
/// Its id.
/// # Traps
/// There is none at that index, or something else, which then stays; the guest holds too many sockets.
fn take_tcp_stream(caller: &mut Caller<'_, Guest>, index: u64) -> Result<u64> {
    let guest = caller.data_mut();
    let place = guest.sockets.place()?;
    let stream: Arc<Stream> = guest.scratch.pull(index)?;
    guest.sockets.streams.add(Held::new(stream, place))
}
