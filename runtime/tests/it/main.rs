//! The `perigee` command with real guests, as a user runs it. `make guests` builds those.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bad_input;
mod benchmarks;
mod cache;
mod control;
mod exit_codes;
mod harness;
mod http_api;
mod idle;
mod limits;
mod lunatic;
mod modules;
mod network;
mod output;
mod permissions;
mod preemption;
mod restart;
mod run;
mod sqlite;
mod stop;
mod test_command;
mod tls;
mod wasi;
mod weaknesses;
mod worker;
