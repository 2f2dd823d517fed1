//! Waiting for a message, however long that takes: an actor in an arena that is asked to settle gives back what its memory
//! still holds as every new actor of its program has it. It has it again before it goes on.
//!
//! Only its own task does either, while its guest is suspended in this very call: nobody else reaches that memory. When it is
//! killed meanwhile nothing is to be done, for no guest code runs any more.

use std::pin::pin;

use wasmtime::Caller;

use super::lunatic::timeout;
use super::memory::split;
use crate::actor::{Began, Envelope, Waited};
use crate::engine::GivenBack;
use crate::guest::Guest;

/// Goes on with a wait. `None`: `milliseconds` are over.
pub(super) async fn waited(caller: &mut Caller<'_, Guest>, mut began: Began, milliseconds: u64) -> Option<Envelope> {
    let mut timeout = pin!(timeout(caller.data(), milliseconds));
    let mut given_back = GivenBack::default();
    let received = loop {
        match caller.data().actor.waited(began, timeout.as_mut()).await {
            Waited::Over(received) => break received,
            Waited::Asked => give_back(caller, &mut given_back),
        }
        began = Began::Now;
    };
    if given_back.is_something() {
        restore(caller, given_back);
    }
    received
}

fn give_back(caller: &mut Caller<'_, Guest>, given_back: &mut GivenBack) {
    // It was asked before, in the same wait.
    if given_back.is_something() || caller.data().node.engine.is_in_pool(caller.engine()) {
        return;
    }
    let Ok((memory, guest)) = split(caller) else { return };
    if let Some(image) = guest.class.program.image() {
        *given_back = image.give_back(memory);
    }
}

fn restore(caller: &mut Caller<'_, Guest>, given_back: GivenBack) {
    let Ok((memory, guest)) = split(caller) else { return };
    if let Some(image) = guest.class.program.image() {
        image.restore(memory, given_back);
    }
}
