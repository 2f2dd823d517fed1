//! A runtime whose exit code is always 0 tells its supervisor nothing.

use crate::harness::run;

#[test]
fn w04_exit_codes_are_those_of_the_guest() {
    for code in [0, 3, 125] {
        run("exit_code", &[&code.to_string()]).code(code);
    }
    run("crash", &["0", "trap"]).code(134);
    run("crash", &["0", "panic"]).code(134);
}
