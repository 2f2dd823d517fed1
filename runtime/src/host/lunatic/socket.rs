//! `lunatic::networking`, what is the same for every kind of socket: the permission and the place that it takes, its handles,
//! and its way through messages.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::{Caller, Result};

use super::dns::give_address;
use super::{give_error, give_id};
use crate::actor::Resource;
use crate::guest::Guest;
use crate::host::charge::Charge;
use crate::host::net::{Denied, Full, Gate, Socket, weight};

/// Why a socket is not opened.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) enum Refused {
    Denied(#[from] Denied),
    Full(#[from] Full),
}

/// Adds functions that are the same for several kinds, each under the name that it has for one.
macro_rules! import_same {
    ($linker:ident, $module:literal, { $($how:ident $name:ident ( $($arg:ident : $type:ty),* ) -> $result:ty = $function:expr;)* }) => {
        $( import_same!(@$how $name, ($($arg: $type),*), $result, $function); )*
        import_module!($linker, $module, { $($how $name($($arg: $type),*) -> $result;)* });
    };
    (@sync $name:ident, ($($arg:ident : $type:ty),*), $result:ty, $function:expr) => {
        fn $name(caller: &mut Caller<'_, Guest>, $($arg: $type),*) -> Result<$result> {
            $function(caller, $($arg),*)
        }
    };
    (@suspends $name:ident, ($($arg:ident : $type:ty),*), $result:ty, $function:expr) => {
        async fn $name(caller: &mut Caller<'_, Guest>, $($arg: $type),*) -> Result<$result> {
            $function(caller, $($arg),*).await
        }
    };
}
pub(super) use import_same;

/// A place for a socket that others can reach at `address`.
pub(super) fn place_to_listen<T: Socket>(guest: &mut Guest, address: SocketAddr) -> Result<Charge, Refused> {
    Gate::listen(&guest.class.spec.permissions.network, &guest.class.name, address)?;
    Ok(guest.sockets().place::<T>()?)
}

pub(super) fn may_connect(guest: &mut Guest, address: SocketAddr) -> Result<(), Denied> {
    let class = Arc::clone(&guest.class);
    guest.sockets().gate.connect(&class.spec.permissions.network, &class.name, address)
}

/// Leaves a socket that was made, or says why it was not.
pub(super) fn give_socket<T: Socket>(
    caller: &mut Caller<'_, Guest>,
    out: u32,
    place: Charge,
    made: Result<T, impl Display>,
) -> Result<u32> {
    match made {
        Ok(socket) => {
            let id = caller.data_mut().sockets().add(Arc::new(socket), place)?;
            give_id(caller, out, id)
        }
        Err(error) => give_error(caller, out, &error),
    }
}

pub(super) fn socket<T: Socket>(caller: &mut Caller<'_, Guest>, id: u64) -> Result<Arc<T>> {
    caller.data_mut().sockets().get(id)
}

pub(super) fn local_address<T: Socket>(caller: &mut Caller<'_, Guest>, id: u64, id_out: u32) -> Result<u32> {
    let address = socket::<T>(caller, id)?.local_address();
    give_address(caller, id_out, address)
}

pub(super) fn close<T: Socket>(caller: &mut Caller<'_, Guest>, id: u64) -> Result<()> {
    caller.data_mut().sockets().remove::<T>(id).map(drop)
}

/// # Returns
/// A further handle of the same socket.
/// # Traps
/// The guest holds too many sockets.
pub(super) fn duplicate<T: Socket>(caller: &mut Caller<'_, Guest>, id: u64) -> Result<u64> {
    let sockets = caller.data_mut().sockets();
    let (socket, place) = (sockets.get::<T>(id)?, sockets.place::<T>()?);
    sockets.add(socket, place)
}

/// Moves a socket into the message.
///
/// # Returns
/// Its index in the message.
pub(super) fn push<T: Socket>(caller: &mut Caller<'_, Guest>, id: u64) -> Result<u64> {
    let guest = caller.data_mut();
    guest.scratch.message()?;
    let socket = guest.sockets().remove::<T>(id)?;
    guest.scratch.push(Resource::new(socket, usize::try_from(weight::<T>())?))
}

/// Moves a socket out of the message.
///
/// # Returns
/// Its id.
/// # Traps
/// There is none at that index, or something else, which then stays; the guest holds too many sockets.
pub(super) fn take<T: Socket>(caller: &mut Caller<'_, Guest>, index: u64) -> Result<u64> {
    let guest = caller.data_mut();
    let place = guest.sockets().place::<T>()?;
    let socket: Arc<T> = guest.scratch.pull(index)?;
    guest.sockets().add(socket, place)
}
