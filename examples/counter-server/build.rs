//! Compiles the C part, and keeps actors small.

fn main() {
    // Freestanding: crc32.c needs no C library, so none of its headers are looked for.
    cc::Build::new().compiler("clang").file("c/crc32.c").flag("-ffreestanding").warnings_into_errors(true).compile("crc32");
    println!("cargo::rerun-if-changed=c");
    // One actor per connection: the default stack of 1 MiB would be most of what each takes.
    println!("cargo::rustc-link-arg-bins=-zstack-size=131072");
}
