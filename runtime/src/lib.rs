//! The actor runtime of Perigee: WebAssembly actors on Tokio and Wasmtime.
//!
//! An actor is one instance of a module with its own stack, heap, mailbox, permissions and limits. Thousands of them live
//! in one process; each is preempted, limited, killed and restarted alone, and a crash of one stays with it.
//!
//! ```text
//! app         starts what an AppSpec declares, supervises it, drains and stops it
//! supervisor  restart decisions
//! node        classes ready to spawn, and what they share of the host;  spawn: the one way in which actors come to be
//! host        imports of guests: WASI preview 1, Lunatic's ABI, `perigee`
//! engine      Wasmtime: configuration, compiling, pooling, preemption, memory accounts
//! allocator   memory of the host's own objects;  threads: how many there are, and for what
//! sweep       asks idle actors to take less memory
//! actor       the core: ids, mailboxes, links, names, timers, quotas; knows neither guests nor WebAssembly
//! ```
#![warn(missing_docs)]

pub mod actor;
mod allocator;
mod app;
mod background;
mod class;
mod configuration;
mod engine;
mod folder;
mod guest;
mod host;
mod node;
#[cfg(test)]
mod resident;
mod spawn;
mod supervisor;
mod sweep;
mod threads;

pub use allocator::Allocator;
pub use app::{App, AppError, AppExit, GRACE};
pub use class::{Class, ClassError, HostValues};
pub use engine::{Capacity, Compiler, Engine, InUse, Program, ProgramError};
pub use folder::MountedFolder;
pub use host::stdio::Output;
pub use node::Node;
pub use spawn::SpawnError;
pub use supervisor::{Declared, DeclaredState};
pub use threads::threads;
