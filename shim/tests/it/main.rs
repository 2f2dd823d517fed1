//! Drives the built shim as containerd does: `start`, the task API over its socket, `delete`. With a real `runc`, so
//! these tests need root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod calls;
mod cgroups;
mod code;
mod exec;
mod full_disk;
mod launcher;
mod memory;
mod native;
mod node;
mod parity;
mod start_and_delete;
mod streams;
mod systemd;
mod wasm;
