//! Values for a database that are not what they should be end who passed them.

use crate::harness::run;

#[test]
fn w05_bad_bincode_ends_one_actor_only() {
    run("sqlite", &["bad_bincode"]).code(0).prints("ok: alive").says(&["lunatic::sqlite::bind_value", "ends in the middle"]);
}
