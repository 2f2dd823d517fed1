//! Programs that were written for Lunatic run here unmodified: the test suite and the examples of the crate `lunatic`, as
//! its authors published them.

mod examples;
mod lunatic;
mod suite;
