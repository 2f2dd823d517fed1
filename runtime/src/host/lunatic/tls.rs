//! `lunatic::networking`, TLS.

use rustls::pki_types::{CertificateDer, ServerName};
use wasmtime::{Caller, Linker, Result};

use super::dns::{lookup, read_address};
use super::socket::{close, duplicate, give_socket, import_same, local_address, may_connect, place_to_listen, push, take};
use super::stream::{accept, flush, get_timeout, read, set_timeout, write};
use super::{TIMED_OUT, give_error};
use crate::guest::Guest;
use crate::host::import_module;
use crate::host::memory::{bytes, owned_text, split};
use crate::host::net::{
    Listener, MAX_PEM_BYTES, Stream, TlsListener, TlsStream, client_config, join, roots, server_config, within,
};

/// Entries of a list of authorities.
const MAX_AUTHORITIES: u32 = 64;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::networking", {
        suspends tls_bind(kind: u32, address: u32, port: u32, flow: u32, scope: u32, id_out: u32, chain: u32, chain_len: u32, key: u32, key_len: u32) -> u32;
        suspends tls_connect(host: u32, host_len: u32, port: u32, timeout: u64, id_out: u32, authorities: u32, count: u32) -> u32;
    });
    import_same!(linker, "lunatic::networking", {
        sync drop_tls_listener(listener: u64) -> () = close::<TlsListener>;
        sync tls_local_addr(listener: u64, id_out: u32) -> u32 = local_address::<TlsListener>;
        suspends tls_accept(listener: u64, id_out: u32, peer_out: u32) -> u32 = accept::<TlsListener>;
        sync drop_tls_stream(stream: u64) -> () = close::<TlsStream>;
        sync clone_tls_stream(stream: u64) -> u64 = duplicate::<TlsStream>;
        suspends tls_write_vectored(stream: u64, pieces: u32, count: u32, out: u32) -> u32 = write::<TlsStream>;
        suspends tls_read(stream: u64, ptr: u32, len: u32, out: u32) -> u32 = read::<TlsStream>;
        suspends tls_flush(stream: u64, error_out: u32) -> u32 = flush::<TlsStream>;
        sync set_tls_read_timeout(stream: u64, milliseconds: u64) -> () = |caller, id, to| set_timeout::<TlsStream>(caller, id, to, |waits| &waits.read);
        sync set_tls_write_timeout(stream: u64, milliseconds: u64) -> () = |caller, id, to| set_timeout::<TlsStream>(caller, id, to, |waits| &waits.write);
        sync get_tls_read_timeout(stream: u64) -> u64 = |caller, id| get_timeout::<TlsStream>(caller, id, |waits| &waits.read);
        sync get_tls_write_timeout(stream: u64) -> u64 = |caller, id| get_timeout::<TlsStream>(caller, id, |waits| &waits.write);
    });
    import_same!(linker, "lunatic::message", {
        sync push_tls_stream(stream: u64) -> u64 = push::<TlsStream>;
        sync take_tls_stream(index: u64) -> u64 = take::<TlsStream>;
    });
    Ok(())
}

/// Listens. Needs a rule of `permissions.network.listen`, certificates of which the first is the listener's, and its key, all
/// in PEM. The handshake of a connection is carried out by who first reads or writes.
///
/// # Returns
/// 0: the listener is at `id_out`; 1: an error is.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
async fn tls_bind(
    caller: &mut Caller<'_, Guest>,
    kind: u32,
    address: u32,
    port: u32,
    flow: u32,
    scope: u32,
    id_out: u32,
    chain: u32,
    chain_len: u32,
    key: u32,
    key_len: u32,
) -> Result<u32> {
    let address = read_address(caller, kind, address, port, flow, scope)?;
    if chain_len.max(key_len) > MAX_PEM_BYTES {
        return give_error(caller, id_out, &format_args!("certificates and key may have {MAX_PEM_BYTES} bytes each"));
    }
    let (memory, _) = split(caller)?;
    let config = match server_config(bytes(memory, chain, chain_len)?, bytes(memory, key, key_len)?) {
        Ok(config) => config,
        Err(error) => return give_error(caller, id_out, &error),
    };
    let guest = caller.data_mut();
    let place = match place_to_listen::<TlsListener>(guest, address) {
        Ok(place) => place,
        Err(refused) => return give_error(caller, id_out, &refused),
    };
    let bound = Listener::bind(address, guest.node.draining.clone()).await;
    let bound = bound.map(|listener| TlsListener::new(listener, config));
    give_socket(caller, id_out, place, bound.map_err(|error| format!("cannot listen on {address}: {error}")))
}

/// Resolves, connects and carries out the handshake. Needs a rule of `permissions.network.connect` for the name.
///
/// `authorities` are pairs of pointer and length, or, as the crate `lunatic` 0.14 passes them, of length and pointer: what is
/// a certificate decides. Without any, the host must be known to an authority of the web.
///
/// # Returns
/// 0: the stream is at `id_out`; 1: an error is; 9027: `timeout` milliseconds are over.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
async fn tls_connect(
    caller: &mut Caller<'_, Guest>,
    host: u32,
    host_len: u32,
    port: u32,
    timeout: u64,
    id_out: u32,
    authorities: u32,
    count: u32,
) -> Result<u32> {
    let (host, port) = (owned_text(caller, host, host_len)?, u16::try_from(port)?);
    let authorities = match read_authorities(caller, authorities, count)? {
        Ok(authorities) => authorities,
        Err(error) => return give_error(caller, id_out, &error),
    };
    let place = match caller.data_mut().sockets().place::<TlsStream>() {
        Ok(place) => place,
        Err(full) => return give_error(caller, id_out, &full),
    };
    match within(timeout, connect(caller, &host, port, authorities)).await {
        None => Ok(TIMED_OUT),
        Some(done) => {
            give_socket(caller, id_out, place, done.map_err(|error| format!("cannot connect to {host}:{port}: {error}")))
        }
    }
}

async fn connect(
    caller: &mut Caller<'_, Guest>,
    host: &str,
    port: u16,
    authorities: Vec<CertificateDer<'static>>,
) -> Result<TlsStream, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| text(&error))?;
    let config = client_config(authorities).map_err(|error| text(&error))?;
    let open = caller.data().node.open_streams.clone();
    let mut failed = "the name has no address".to_owned();
    for address in lookup(caller, &join(host, port)).await? {
        may_connect(caller.data_mut(), address).map_err(|denied| text(&denied))?;
        match Stream::connect(address, &open).await {
            Ok(tcp) => return TlsStream::connect(tcp, config, name).await.map_err(|error| text(&error)),
            Err(error) => failed = text(&error),
        }
    }
    Err(failed)
}

/// The certificates of a list, which together may have [`MAX_PEM_BYTES`].
fn read_authorities(
    caller: &mut Caller<'_, Guest>,
    list: u32,
    count: u32,
) -> Result<Result<Vec<CertificateDer<'static>>, String>> {
    if count > MAX_AUTHORITIES {
        return Ok(Err(format!("{count} authorities: {MAX_AUTHORITIES} is the most")));
    }
    let (memory, _) = split(caller)?;
    let mut found = Vec::new();
    let mut room = MAX_PEM_BYTES;
    for (index, pair) in bytes(memory, list, count.saturating_mul(8))?.chunks_exact(8).enumerate() {
        let (first, second) = pair.split_at(4);
        let (first, second) = (u32::from_le_bytes(first.try_into()?), u32::from_le_bytes(second.try_into()?));
        let certificates = |ptr, len| match bytes(memory, ptr, len) {
            Ok(bytes) if len <= room => Some((len, roots(bytes))).filter(|(_, roots)| !roots.is_empty()),
            _ => None,
        };
        let Some((len, certificates)) = certificates(first, second).or_else(|| certificates(second, first)) else {
            return Ok(Err(format!(
                "authority {index} is no certificate in PEM or DER, or all are beyond {MAX_PEM_BYTES} bytes"
            )));
        };
        room -= len;
        found.extend(certificates);
    }
    Ok(Ok(found))
}
