//! The `perigee` command with real guests, as a user runs it. `make guests` builds those.

mod bad_input;
mod harness;
mod limits;
mod lunatic;
mod network;
mod permissions;
mod preemption;
mod restart;
mod run;
mod stop;
mod worker;
