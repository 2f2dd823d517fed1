//! End-to-end tests on a real Kubernetes: one module per feature. `native` is about the cluster itself; all others are
//! about Perigee on it, installed once per run (`perigee_e2e::perigee`).

mod bad_input;
mod code_cache;
mod come_and_go;
mod counter_server;
mod definition;
mod exec;
mod full_disk;
mod http_api;
mod leftovers;
mod limits;
mod native;
mod native_containers;
mod permissions;
mod plain_pod;
mod preemption;
mod restart;
mod rollout;
mod secrets;
mod survival;
