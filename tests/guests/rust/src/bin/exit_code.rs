//! Exits at once with the code that its first argument gives (default 0). WASI only.

fn main() {
    std::process::exit(guests::arg(0, 0));
}
