//! A guest that never yields by itself does not keep others from running.

use crate::harness::{finish, guest, kill, perigee, run, wait};

/// The bound is 20 ms at the 99th percentile on an idle machine; ten times that here, where CI may be busy.
const BOUND_US: u64 = 200_000;

#[test]
fn a_sleeper_wakes_beside_spinners() {
    let ran = run("sleeper_vs_spinners", &["8", "200"]).code(0);
    let p99 =
        ran.stdout.split("p99_us=").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|number| number.parse::<u64>().ok());
    assert!(p99.expect("a figure") < BOUND_US, "{ran:#?}");
}

#[test]
fn a_loop_of_c_is_stopped_by_a_signal() {
    let child = perigee(&["run", "--grace", "0"]).arg(guest("c_spin")).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill(child.id(), "TERM");
    wait(child).code(143);
}

#[test]
fn the_version_is_told() {
    finish(&mut perigee(&["--version"])).code(0).prints(env!("CARGO_PKG_VERSION"));
}
