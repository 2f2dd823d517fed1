//! What the end-to-end tests need: a real Kubernetes on this machine, and ways to ask it things.
//!
//! ```text
//! cluster   brings it up (tests/cluster/up.sh), runs kubectl, helm, ctr and oras against it
//!    ^
//! ns        a namespace per test, dumped when the test fails, deleted at its end
//! wait      conditions with a time limit and a message
//! images    OCI archives and layouts into the registry or onto the node
//! dump      what a person would look at first after a failure
//! ```
//! The product is a black box here: nothing of it is linked, everything goes through the programs that its users have.

pub mod cluster;
pub mod dump;
pub mod images;
pub mod ns;
pub mod wait;
