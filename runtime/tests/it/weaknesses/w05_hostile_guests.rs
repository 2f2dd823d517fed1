//! No guest takes its host down, and no end leaves anything behind.

use std::sync::Arc;

use perigee_runtime::actor::{Actor, ActorLimits, Envelope, ExitReason, Filter, Prepare, Quota, System};

use crate::harness::{Ran, run, run_app};

fn hostile(what: &str) -> Ran {
    run_app(&format!(
        "{{name: h, module: hostile.wasm, args: [{what}], restart: {{policy: Temporary}}, \
         limits: {{memory: 4Mi, mailbox: 1Mi}}, permissions: {{spawn: [h]}}}}"
    ))
    .code(0)
}

#[test]
fn w05_create_data_of_4_tib_is_a_hint_and_nothing_more() {
    run("hostile", &["create_data"]).code(0).prints("ok: alive");
}

#[test]
fn w05_mailbox_flood_stops_at_the_receivers_limit() {
    let ran = hostile("flood");
    let queued: u32 = ran.stdout.trim().strip_prefix("queued ").expect("a figure").parse().unwrap();
    assert!((8..=16).contains(&queued), "64 KiB each, 1 MiB in all: {queued}");
}

#[test]
fn w05_endless_links_monitors_timers_and_tags_end_one_actor_only() {
    for what in ["links", "monitors", "timers", "tags"] {
        hostile(what).prints("ended: true").says(&["trapped"]);
    }
}

fn prepare(system: &System) -> Arc<Actor> {
    let limits = ActorLimits { memory: 1 << 20, mailbox: 1 << 16 };
    let prepare = Prepare { class: "test".into(), limits, quota: Quota::new(0, None), counts_in: None };
    system.prepare(prepare).unwrap()
}

#[tokio::test]
async fn w05_host_panic_leaves_no_zombie() {
    let system = Arc::<System>::default();
    let (broken, witness) = (prepare(&system), prepare(&system));
    witness.set_dies_with_links(false);
    let watched = Arc::clone(&broken);
    let exit = system.launch(&witness, None, None, {
        let own = Arc::clone(&witness);
        async move {
            own.link(&watched, 5).unwrap();
            match own.receive(Filter::Any, None).await {
                Some(Envelope::LinkDied { tag: 5 }) => ExitReason::Normal,
                _ => ExitReason::Exited(1),
            }
        }
    });
    let body = async {
        tokio::task::yield_now().await;
        let host_defect: Option<ExitReason> = std::hint::black_box(None);
        host_defect.unwrap()
    };
    let panicked = system.launch(&broken, None, None, body).unwrap();
    assert!(matches!(*panicked.await.unwrap().reason, ExitReason::HostFault(_)));
    assert_eq!(*exit.unwrap().await.unwrap().reason, ExitReason::Normal);
    assert!(system.find(broken.id()).is_none() && system.is_empty());
}
