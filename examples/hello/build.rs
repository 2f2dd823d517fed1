//! A stack of 128 KiB: the default of 1 MiB would be most of what this actor takes.

fn main() {
    println!("cargo::rustc-link-arg-bins=-zstack-size=131072");
}
