//! What the function of a new actor is called with.

use smallvec::SmallVec;
use wasmtime::{Func, Store, Val};

use crate::guest::Guest;

/// Parameters. Most functions take none, as a class's entry point, or one or two numbers, as what crate `lunatic` spawns: those
/// are called by their types, which needs neither memory nor the look-up of each value's type.
pub(crate) enum Params {
    None,
    I32(i32),
    I64(i64),
    I32s(i32, i32),
    I64s(i64, i64),
    Others(Box<[Val]>),
}

impl From<SmallVec<[Val; 2]>> for Params {
    fn from(values: SmallVec<[Val; 2]>) -> Self {
        match *values {
            [] => Self::None,
            [Val::I32(value)] => Self::I32(value),
            [Val::I64(value)] => Self::I64(value),
            [Val::I32(first), Val::I32(second)] => Self::I32s(first, second),
            [Val::I64(first), Val::I64(second)] => Self::I64s(first, second),
            _ => Self::Others(values.into_boxed_slice()),
        }
    }
}

impl Params {
    /// Calls a function that takes these and returns nothing.
    ///
    /// # Errors
    /// It takes others; it has trapped.
    pub(super) async fn call(&self, function: Func, store: &mut Store<Guest>) -> wasmtime::Result<()> {
        match *self {
            Self::None => function.typed::<(), ()>(&*store)?.call_async(store, ()).await,
            Self::I32(value) => function.typed::<i32, ()>(&*store)?.call_async(store, value).await,
            Self::I64(value) => function.typed::<i64, ()>(&*store)?.call_async(store, value).await,
            Self::I32s(first, second) => function.typed::<(i32, i32), ()>(&*store)?.call_async(store, (first, second)).await,
            Self::I64s(first, second) => function.typed::<(i64, i64), ()>(&*store)?.call_async(store, (first, second)).await,
            Self::Others(ref values) => function.call_async(store, values, &mut []).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use perigee_spec::ActorClass;
    use smallvec::smallvec;
    use tokio::sync::oneshot;
    use wasmtime::V128;

    use super::*;
    use crate::actor::ExitReason;
    use crate::class::{Class, HostValues};
    use crate::engine::{Capacity, Engine};
    use crate::host::stdio::Output;
    use crate::node::Node;
    use crate::spawn::{Entry, Spawner};

    /// Each function ends well when it is called with the numbers from 1 on.
    const MODULE: &str = r#"(module
        (func $is (param i64 i64) (if (i64.ne (local.get 0) (local.get 1)) (then unreachable)))
        (func $is32 (param i32 i64) (call $is (i64.extend_i32_s (local.get 0)) (local.get 1)))
        (func (export "_start"))
        (func (export "i32") (param i32) (call $is32 (local.get 0) (i64.const 1)))
        (func (export "i64") (param i64) (call $is (local.get 0) (i64.const 1)))
        (func (export "i32s") (param i32 i32)
            (call $is32 (local.get 0) (i64.const 1)) (call $is32 (local.get 1) (i64.const 2)))
        (func (export "i64s") (param i64 i64)
            (call $is (local.get 0) (i64.const 1)) (call $is (local.get 1) (i64.const 2)))
        (func (export "mixed") (param i32 i64 v128)
            (call $is32 (local.get 0) (i64.const 1)) (call $is (local.get 1) (i64.const 2))
            (call $is (i64x2.extract_lane 1 (local.get 2)) (i64.const 3))))"#;

    #[tokio::test]
    async fn a_function_gets_what_it_is_spawned_with_or_says_that_it_takes_others() {
        let engine = Engine::new(Capacity { actors: 1 }).unwrap();
        let program = engine.compile("params", &wat::parse_str(MODULE).unwrap()).unwrap();
        let class = Class::prepare(ActorClass::new("test".parse().unwrap()), program, &HostValues::default()).unwrap();
        let (class, sink) = (Arc::new(class), || Output::new("test", std::io::sink()).unwrap());
        let node = Node::new(engine, Vec::new(), sink(), sink());
        let shapes: [(&str, SmallVec<[Val; 2]>); 6] = [
            ("_start", smallvec![]),
            ("i32", smallvec![Val::I32(1)]),
            ("i64", smallvec![Val::I64(1)]),
            ("i32s", smallvec![Val::I32(1), Val::I32(2)]),
            ("i64s", smallvec![Val::I64(1), Val::I64(2)]),
            ("mixed", smallvec![Val::I32(1), Val::I64(2), Val::V128(V128::from(3u128 << 64))]),
        ];
        for (function, _) in &shapes {
            for (of, values) in &shapes {
                let (told, exit) = oneshot::channel();
                let entry = Entry { function, params: values.clone().into() };
                node.spawn(&class, entry, Spawner::Supervisor { told }).await.unwrap();
                let reason = exit.await.unwrap().reason;
                match &*reason {
                    ExitReason::Normal => assert_eq!(function, of),
                    ExitReason::Trap(text) => assert!(function != of && text.contains("expected"), "{function} of {of}: {text}"),
                    other => panic!("{function} of {of}: {other}"),
                }
            }
        }
    }
}
