//! The host with real components: those of `components/`, built by the test itself.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what it did not expect")]

mod bodies;
mod cache;
mod coverage;
mod faults;
mod heads;
mod limits;
mod load;
mod log;
mod program;
mod sandbox;
mod stand;
mod streams;
