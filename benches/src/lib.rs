//! What the benches share: the requests they measure, the clock they read, and the ways they repeat.
//!
//! What each bench measures, and what is to be subtracted from it, is in `README.md`.

mod clock;
mod fixed;
pub mod heads;
mod lanes;

pub use clock::{CpuTime, criterion};
pub use fixed::Fixed;
pub use lanes::{Exchange, Lanes, runtime};

/// The programs' own allocator: what a piece costs is in good part what its allocations cost.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
