//! Stacks of the pool. Wasmtime hands them on as they are: what one actor used of its stack in a deep recursion would stay in
//! memory for as long as the process lives, in every place of the pool, and no account has it.
//!
//! So their deep pages go back to the kernel when an actor is gone, by a look and a call on that stack itself. That takes a
//! few hundred nanoseconds, which those that end early and by themselves take only now and then: a recursion that is soon
//! over is repeated by others of the app as a rule, for whom the pages are kept just as well.

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::{Context, Waker};

use wasmtime::{Func, Store};

use crate::guest::Guest;

/// What a stack keeps, in bytes, below where guest code is entered: the next actor takes no page faults for it.
const KEPT_BYTES: usize = 64 << 10;
/// How much is looked at below that. Each frame holds a return address, so any frame of this size or less is seen.
const LOOK_BYTES: usize = 1 << 10;
/// What goes back, in bytes, below what is kept: all that guest code can use (`GUEST_STACK_BYTES`), with what host functions
/// hold below it, and no more than there is below the first frames of a stack (`STACK_BYTES`).
const GIVEN_BACK_BYTES: usize = 640 << 10;
/// One in so many of those that end early is looked at.
const SAMPLE: u64 = 64;
const PAGE: usize = 4096;

/// A store whose stack is tidied when it is dropped: with the actor, however that ends.
pub(crate) struct Tidied {
    store: Store<Guest>,
    ended_by_itself: bool,
}

impl Tidied {
    pub(crate) fn new(store: Store<Guest>) -> Self {
        Self { store, ended_by_itself: false }
    }

    /// Its guest was neither stopped nor trapped.
    pub(crate) fn ended_by_itself(&mut self) {
        self.ended_by_itself = true;
    }
}

impl Deref for Tidied {
    type Target = Store<Guest>;

    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

impl DerefMut for Tidied {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.store
    }
}

impl Drop for Tidied {
    fn drop(&mut self) {
        let guest = self.store.data();
        let was_short = self.ended_by_itself && !guest.was_preempted && !guest.actor.id().0.is_multiple_of(SAMPLE);
        if !was_short && guest.node.engine.is_in_pool(self.store.engine()) {
            tidy(&mut self.store);
        }
    }
}

/// Gives back the deep pages of a store's stack. Nothing runs on it.
fn tidy<T: Send + 'static>(store: &mut Store<T>) {
    let function = Func::wrap(&mut *store, give_back);
    // A host function that does not wait is done at once.
    drop(pin!(function.call_async(store, &[], &mut [])).poll(&mut Context::from_waker(Waker::noop())));
}

/// Gives back what is far below the caller's frame, which is one of the first of a stack that is a guest's.
#[expect(unsafe_code, reason = "memory that only raw pointers reach")]
fn give_back() {
    let here = 0u8;
    let kept = (std::ptr::from_ref(std::hint::black_box(&here)).expose_provenance() & !(PAGE - 1)) - KEPT_BYTES;
    let words = std::ptr::with_exposed_provenance::<u64>(kept - LOOK_BYTES);
    // SAFETY: far below this frame nobody has anything, and by the sizes above all of it belongs to this stack: it is mapped.
    unsafe {
        if (0..LOOK_BYTES / size_of::<u64>()).all(|index| words.add(index).read_volatile() == 0) {
            return;
        }
        let start = std::ptr::with_exposed_provenance_mut(kept - GIVEN_BACK_BYTES);
        libc::madvise(start, GIVEN_BACK_BYTES, libc::MADV_DONTNEED);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Poll;

    use wasmtime::{Linker, Module, Trap, TypedFunc};

    use super::super::config::Reset;
    use super::super::pool;
    use super::*;
    use crate::resident::resident_pages;

    /// Tells where its stack is at first and at its deepest. There it returns, traps or waits forever.
    const DEEP: &str = r#"(module
      (import "test" "here" (func $here))
      (import "test" "wait" (func $wait))
      (func $down (param $left i32) (param $end i32) (result i32)
        (if (i32.eqz (local.get $left)) (then
          (call $here)
          (if (i32.eq (local.get $end) (i32.const 1)) (then unreachable))
          (if (i32.eq (local.get $end) (i32.const 2)) (then (call $wait)))
          (return (i32.const 0))))
        (i32.add (i32.const 1) (call $down (i32.sub (local.get $left) (i32.const 1)) (local.get $end))))
      (func (export "run") (param $depth i32) (param $end i32) (result i32)
        (call $here)
        (call $down (local.get $depth) (local.get $end))))"#;
    const DEPTH: i32 = 6_000;

    /// Pages between those of two addresses that are in memory, and how many there are.
    fn resident(low: usize, high: usize) -> (usize, usize) {
        let (low, high) = (low & !(PAGE - 1), high & !(PAGE - 1));
        (resident_pages(low, high - low).unwrap(), (high - low) / PAGE)
    }

    /// Runs it to its end, or to where it waits; returns that, and where its stack was.
    async fn run(end: i32) -> (Option<wasmtime::Result<i32>>, usize, usize, wasmtime::Engine) {
        let engine = pool::engine(1, Reset::detect()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut linker = Linker::new(&engine);
        let note = Arc::clone(&seen);
        linker
            .func_wrap("test", "here", move || {
                let here = 0u8;
                note.lock().unwrap().push(std::ptr::from_ref(std::hint::black_box(&here)).addr());
                if let [high, low] = note.lock().unwrap()[..] {
                    let (resident, all) = resident(low, high);
                    assert!(all * PAGE > 2 * KEPT_BYTES && resident == all, "{resident} of {all}");
                }
            })
            .unwrap();
        linker.func_wrap_async("test", "wait", |_, ()| Box::new(std::future::pending::<()>())).unwrap();
        let module = Module::new(&engine, wat::parse_str(DEEP).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
        let function: TypedFunc<(i32, i32), i32> = instance.get_typed_func(&mut store, "run").unwrap();
        let ended = {
            let mut call = pin!(function.call_async(&mut store, (DEPTH, end)));
            match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(ended) => Some(ended),
                Poll::Pending => None,
            }
        };
        let [high, low] = seen.lock().unwrap()[..] else { panic!("it did not get there") };
        tidy(&mut store);
        drop(store);
        (ended, low, high - KEPT_BYTES - 2 * PAGE, engine)
    }

    #[tokio::test]
    async fn a_stack_of_the_pool_keeps_none_of_its_deep_pages_however_guest_code_ends() {
        let (returned, low, high, _engine) = run(0).await;
        assert_eq!((returned.unwrap().unwrap(), resident(low, high).0), (DEPTH, 0), "after a return");
        let (trapped, low, high, _engine) = run(1).await;
        let trap = *trapped.unwrap().unwrap_err().downcast_ref::<Trap>().unwrap();
        assert_eq!((trap, resident(low, high).0), (Trap::UnreachableCodeReached, 0), "after a trap");
        let (waits, low, high, _engine) = run(2).await;
        assert_eq!((waits.is_none(), resident(low, high).0), (true, 0), "after it was dropped");
    }
}
