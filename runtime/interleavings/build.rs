//! Has the actor core compiled with shuttle's locks and atomics: see `runtime/src/actor/sync.rs`.

fn main() {
    println!("cargo::rustc-cfg=interleavings");
    println!("cargo::rerun-if-changed=build.rs");
}
