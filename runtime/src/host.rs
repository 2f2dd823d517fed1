//! Host functions: thin layers between guest ABIs and the actor core.
//!
//! One file per import module. A function decodes its arguments, calls the core or the host, and encodes the result; what
//! a guest gets wrong ends that guest with a [`Trap`](wasmtime::Trap)-like error that carries the function's name.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

#[cfg(test)]
mod abi;
pub(crate) mod charge;
mod idle;
pub(crate) mod last_words;
mod lunatic;
pub(crate) mod making;
mod memory;
pub(crate) mod metrics;
pub(crate) mod net;
mod perigee;
pub(crate) mod scratch;
pub(crate) mod sqlite;
pub(crate) mod stdio;
pub(crate) mod table;
pub(crate) mod wasi;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::{Engine, Linker};

use crate::guest::Guest;

/// All imports that a core module can have.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker)?;
    lunatic::add_to_linker(&mut linker)?;
    perigee::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// How far a function came without waiting.
enum Attempt<R> {
    /// To its result.
    Done(u32),
    /// It has to wait, and goes on with this.
    Waits(R),
}

type Pending<'a> = Box<dyn Future<Output = wasmtime::Result<u32>> + Send + 'a>;

/// The future of a function that is done. Of 0, the result of nearly all calls, it takes no memory.
fn done(result: wasmtime::Result<u32>) -> Pending<'static> {
    match result {
        Ok(0) => Box::new(Zero),
        result => Box::new(std::future::ready(result)),
    }
}

struct Zero;

impl Future for Zero {
    type Output = wasmtime::Result<u32>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(0))
    }
}

/// Declares the functions of one import module as a table of signatures. The Rust function of the same name gets the
/// caller first; its errors get the import's name. One that `suspends` is a future; one that `tries` comes to its result
/// without one when it need not wait, else its [`Attempt`] goes on in the function behind `then`.
macro_rules! import_module {
    ($linker:ident, $module:literal, {
        $($kind:ident $name:ident ( $($arg:ident : $type:ty),* ) -> $result:ty $(, then $rest:ident)?;)*
    }) => {
        $( import_module!(@$kind $linker, $module, $name, ($($arg : $type),*), $result $(, $rest)?); )*
    };
    (@tries $linker:ident, $module:literal, $name:ident, ($($arg:ident : $type:ty),*), $result:ty, $rest:ident) => {
        $linker.func_wrap_async($module, stringify!($name), |mut caller: wasmtime::Caller<'_, Guest>, ($($arg,)*): ($($type,)*)| {
            if let Err(error) = caller.data().check_fuel() {
                return $crate::host::done(Err(error));
            }
            let named = |error: wasmtime::Error| error.context(concat!($module, "::", stringify!($name)));
            match $name(&mut caller, $($arg),*) {
                Ok($crate::host::Attempt::Done(result)) => $crate::host::done(Ok(result)),
                Ok($crate::host::Attempt::Waits(rest)) => {
                    Box::new(async move { $rest(&mut caller, rest).await.map_err(named) })
                }
                Err(error) => $crate::host::done(Err(named(error))),
            }
        })?;
    };
    (@sync $linker:ident, $module:literal, $name:ident, ($($arg:ident : $type:ty),*), $result:ty) => {
        $linker.func_wrap($module, stringify!($name), |mut caller: wasmtime::Caller<'_, Guest>, $($arg: $type),*| -> wasmtime::Result<$result> {
            caller.data().check_fuel()?;
            $name(&mut caller, $($arg),*).map_err(|error| error.context(concat!($module, "::", stringify!($name))))
        })?;
    };
    (@suspends $linker:ident, $module:literal, $name:ident, ($($arg:ident : $type:ty),*), $result:ty) => {
        $linker.func_wrap_async($module, stringify!($name), |mut caller: wasmtime::Caller<'_, Guest>, ($($arg,)*): ($($type,)*)| {
            Box::new(async move {
                caller.data().check_fuel()?;
                let result: wasmtime::Result<$result> = $name(&mut caller, $($arg),*).await;
                result.map_err(|error| error.context(concat!($module, "::", stringify!($name))))
            })
        })?;
    };
}
use import_module;
