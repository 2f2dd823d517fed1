//! Order and names: nothing is turned round by a timeout, and no name outlives its actor.

use crate::harness::run;

#[test]
fn w07_order_after_timeout_is_the_order_of_sending() {
    run("hostile", &["order"]).code(0).prints("ok: in order");
}

#[test]
fn w07_stale_names_do_not_exist() {
    run("hostile", &["names"]).code(0).prints("holder None");
}
