//! A small stack: the default of 1 MiB would be most of an actor's memory, and tests start many actors. The programs that
//! measure spawning keep the default, since that is what Rust programs have.

const DEFAULT_STACK: [&str; 3] = ["brief", "spawn_rate", "spawn_reply"];

fn main() {
    for file in std::fs::read_dir("src/bin").expect("the programs") {
        let file = file.expect("a program").path();
        let name = file.file_stem().and_then(|name| name.to_str()).expect("the name of a program");
        if !DEFAULT_STACK.contains(&name) {
            println!("cargo::rustc-link-arg-bin={name}=-zstack-size=131072");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/bin");
}
