use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::*;
use crate::{ClassName, EnvVar, Folder, Limits, MemoryBytes, Network, Permissions, Restart, RestartPolicy, Window};

fn with_actors(actors: &str) -> String {
    format!(r#"{{"version":1,"name":"shop","actors":{actors}}}"#)
}

#[test]
fn a_forged_permission_key_is_refused_by_name() {
    let error = decode(&with_actors(r#"[{"name":"web","permissions":{"netwrok":{}}}]"#)).unwrap_err().to_string();
    assert!(error.starts_with("perigee.dev/app.actors[0].permissions"), "{error}");
    assert!(error.contains("netwrok"), "{error}");
}

#[test]
fn a_newer_version_says_to_upgrade_the_node() {
    let error = decode(r#"{"version":2,"name":"shop","actors":[],"new":1}"#).unwrap_err();
    assert_eq!(error, SpecError::AnnotationVersion { key: KEY, found: 2, known: 1 });
}

#[test]
fn an_annotation_at_the_cap_is_read_and_one_byte_more_is_not() {
    let text = with_actors(r#"[{"name":"web"}]"#);
    let padded = format!("{text}{}", " ".repeat(CAP - text.len()));
    assert!(decode(&padded).is_ok());
    assert_eq!(decode(&format!("{padded} ")), Err(SpecError::AnnotationSize { key: KEY, bytes: CAP + 1, cap: CAP }));
}

#[test]
fn text_behind_the_value_is_refused() {
    assert!(decode(&format!("{} x", with_actors(r#"[{"name":"web"}]"#))).is_err());
}

fn span(ms: u64) -> Window {
    Window(std::time::Duration::from_millis(ms))
}

fn class(name: ClassName) -> impl Strategy<Value = ActorClass> {
    let restart = (
        prop_oneof![Just(RestartPolicy::Permanent), Just(RestartPolicy::Transient), Just(RestartPolicy::Temporary)],
        any::<u32>(),
        1u64..100_000,
        1u64..100_000,
    )
        .prop_map(|(policy, max_restarts, ms, backoff)| Restart {
            policy,
            max_restarts,
            window: span(ms),
            backoff: span(backoff),
            max_backoff: span(backoff + ms),
        });
    let limits = (1u64 << 20..4 << 30, 4u64 << 10..1 << 20, 0u32..1_000_000).prop_map(|(memory, mailbox, actors)| Limits {
        memory: MemoryBytes(memory),
        mailbox: MemoryBytes(mailbox),
        actors,
    });
    let own = name.clone();
    let rights = (any::<bool>(), any::<bool>(), any::<bool>());
    let permissions = (rights, vec("/[a-z]{1,8}", 0..3), any::<bool>(), vec("[a-z]{1,8}[.]svc:[0-9]{1,4}", 0..3)).prop_map(
        move |((spawn, compile, configure), folders, read_only, connect)| Permissions {
            compile,
            configure,
            spawn: if spawn { vec![own.clone()] } else { Vec::new() },
            filesystem: folders.into_iter().map(|path| Folder { path, read_only }).collect(),
            network: Network { listen: Vec::new(), connect: connect.iter().map(|rule| rule.parse().unwrap()).collect() },
        },
    );
    let texts = (vec("[^\0]*", 0..3), "[^\0]*", proptest::option::of("[a-z]{1,9}[.]wasm"));
    (1u32..100, restart, limits, permissions, texts).prop_map(
        move |(instances, restart, limits, permissions, (args, value, module))| ActorClass {
            instances,
            restart,
            limits,
            permissions,
            args,
            module,
            env: vec![EnvVar { name: "LOG".into(), value: Some(value), value_from: None }],
            ..ActorClass::new(name.clone())
        },
    )
}

proptest! {
    #[test]
    fn any_app_survives_the_journey(first in class("web".parse().unwrap()), second in class("cart".parse().unwrap()), strategy in 0usize..3) {
        use crate::Strategy::{OneForAll, OneForOne, RestForOne};
        let app = AppSpec::new("shop", vec![first, second], "spec.actors").unwrap().with_strategy([OneForOne, RestForOne, OneForAll][strategy]);
        prop_assert_eq!(decode(&encode(&app).unwrap()), Ok(app));
    }

    #[test]
    fn no_text_panics(text: String) {
        drop(decode(&text));
        drop(decode(&with_actors(&text)));
    }
}
