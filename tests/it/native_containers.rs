//! Native containers in pods of the RuntimeClass: all that a pod can ask for is as with any other runtime, since a Wasm
//! container's sidecars are such containers.

mod interaction;
mod lifecycle;
mod security;
mod volumes;
