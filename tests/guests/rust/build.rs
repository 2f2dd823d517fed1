//! A small stack: the default of 1 MiB would be most of an actor's memory, and tests start many actors.

fn main() {
    println!("cargo::rustc-link-arg-bins=-zstack-size=131072");
    println!("cargo::rerun-if-changed=build.rs");
}
