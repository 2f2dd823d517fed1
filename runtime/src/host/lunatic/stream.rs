//! `lunatic::networking`, what is the same for connections with and without TLS: blocking calls for the guest, readiness for
//! the host. Bytes go between the connection and the guest's memory without a buffer in between.

use std::fmt::Display;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{Caller, Result};

use super::socket::socket;
use super::{TIMED_OUT, give_error, give_id};
use crate::guest::Guest;
use crate::host::memory::{bytes, bytes_mut, put_id, split};
use crate::host::net::{Acceptor, Connection, Waits, within};

/// Pieces of one vectored write that are passed on: as many as Linux takes (`UIO_MAXIOV`).
const MAX_PIECES: u32 = 1024;

/// Waits for a connection.
///
/// # Returns
/// 0: stream and list with the peer's address are written; 1: an error is at `id_out`, as when the app shuts down.
pub(super) async fn accept<L: Acceptor>(caller: &mut Caller<'_, Guest>, id: u64, id_out: u32, peer_out: u32) -> Result<u32> {
    let listener = socket::<L>(caller, id)?;
    let guest = caller.data_mut();
    let place = match guest.sockets().place::<L::Connection>() {
        Ok(place) => place,
        // The connection waits in the system's queue until there is room.
        Err(full) => return refuse_accept(caller, id_out, peer_out, &full),
    };
    let open = guest.node.open_streams.clone();
    let (stream, peer) = match listener.accept(&open).await {
        Ok(accepted) => accepted,
        Err(error) => return refuse_accept(caller, id_out, peer_out, &error),
    };
    match caller.data_mut().sockets().add_addresses([peer].into()) {
        Ok(list) => put_id(caller, peer_out, list)?,
        Err(full) => return refuse_accept(caller, id_out, peer_out, &full),
    }
    let id = caller.data_mut().sockets().add(Arc::new(stream), place)?;
    give_id(caller, id_out, id)
}

fn refuse_accept(caller: &mut Caller<'_, Guest>, id_out: u32, peer_out: u32, error: &dyn Display) -> Result<u32> {
    put_id(caller, peer_out, 0)?;
    give_error(caller, id_out, error)
}

/// Reads what is there, or waits for something.
///
/// # Returns
/// 0: the number of bytes, 0 at the end of the stream, is at `out`; 1: an error is; 9027: the read timeout is over.
pub(super) async fn read<T: Connection>(caller: &mut Caller<'_, Guest>, id: u64, ptr: u32, len: u32, out: u32) -> Result<u32> {
    let stream = socket::<T>(caller, id)?;
    let (memory, _) = split(caller)?;
    let buffer = bytes_mut(memory, ptr, len)?;
    let waits = stream.waits();
    let reading = async {
        let _turn = waits.reader.lock().await;
        stream.read(buffer).await
    };
    let done = within(waits.read.load(Ordering::Relaxed), reading).await;
    give_count(caller, out, done)
}

/// Writes pieces, each given as pointer and length.
///
/// # Returns
/// 0: the number of bytes written, maybe fewer than given, is at `out`; 1: an error is; 9027: the write timeout is over, and
/// nothing was written.
pub(super) async fn write<T: Connection>(
    caller: &mut Caller<'_, Guest>,
    id: u64,
    pieces: u32,
    count: u32,
    out: u32,
) -> Result<u32> {
    let stream = socket::<T>(caller, id)?;
    let (memory, _) = split(caller)?;
    let pieces = gather(memory, pieces, count)?;
    let waits = stream.waits();
    let timeout = waits.write.load(Ordering::Relaxed);
    let writing = async {
        let _turn = waits.writer.lock().await;
        stream.write(&pieces).await
    };
    let mut done = within(timeout, writing).await;
    // What was taken but not sent yet when the time is over goes out with what is read or written next.
    if let Some(Ok(_)) = done
        && let Some(Err(error)) = within(timeout, stream.flush()).await
    {
        done = Some(Err(error));
    }
    drop(pieces);
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

pub(super) fn give_count(caller: &mut Caller<'_, Guest>, out: u32, done: Option<io::Result<usize>>) -> Result<u32> {
    match done {
        None => Ok(TIMED_OUT),
        Some(Ok(count)) => give_id(caller, out, u64::try_from(count)?),
        Some(Err(error)) => give_error(caller, out, &error),
    }
}

/// Waits until the system has all that was written.
///
/// # Returns
/// 0, and 0 at `error_out`; 1: an error is there.
pub(super) async fn flush<T: Connection>(caller: &mut Caller<'_, Guest>, id: u64, error_out: u32) -> Result<u32> {
    match socket::<T>(caller, id)?.flush().await {
        Ok(()) => give_id(caller, error_out, 0),
        Err(error) => give_error(caller, error_out, &error),
    }
}

/// A timeout in milliseconds.
pub(super) fn get_timeout<T: Connection>(
    caller: &mut Caller<'_, Guest>,
    id: u64,
    which: fn(&Waits) -> &AtomicU64,
) -> Result<u64> {
    Ok(which(socket::<T>(caller, id)?.waits()).load(Ordering::Relaxed))
}

pub(super) fn set_timeout<T: Connection>(
    caller: &mut Caller<'_, Guest>,
    id: u64,
    milliseconds: u64,
    which: fn(&Waits) -> &AtomicU64,
) -> Result<()> {
    which(socket::<T>(caller, id)?.waits()).store(milliseconds, Ordering::Relaxed);
    Ok(())
}
