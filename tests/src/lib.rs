//! What the end-to-end tests need: a real Kubernetes on this machine, and ways to ask it things.
//!
//! ```text
//! cluster   brings it up (tests/cluster/up.sh), runs kubectl, helm, ctr and oras against it
//!    ^
//! perigee   Perigee on it: programs on the node, the chart by Helm, once per test run
//! ns        a namespace per test, dumped when the test fails, deleted at its end
//! objects   pods and ActorApps as tests write them
//! wait      conditions with a time limit and a message
//! busybox   native containers with a shell
//! images    guests, OCI archives and layouts into the registry or onto the node
//! built     the programs and guests that were built before
//! node      what is on the node: processes, mounts, control groups, network namespaces
//! dump      what a person would look at first after a failure
//! ```
//! The product is a black box here: nothing of it is linked, everything goes through the programs that its users have.

pub mod built;
pub mod busybox;
pub mod cluster;
pub mod dump;
pub mod images;
pub mod node;
pub mod ns;
pub mod objects;
pub mod perigee;
pub mod wait;
