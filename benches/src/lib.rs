//! What the benches share: the requests they measure, the clock they read, the ways they repeat, and the programs that
//! they start.
//!
//! What each bench measures, and what is to be subtracted from it, is in `README.md`.

mod clock;
mod cost;
mod fixed;
pub mod heads;
mod lanes;
pub mod programs;
mod spread;
pub mod usage;

pub use clock::{CpuTime, criterion};
pub use cost::{Cost, Meter};
pub use fixed::Fixed;
pub use lanes::{Exchange, Lanes, runtime};
pub use spread::Spread;

/// The programs' own allocator: what a piece costs is in good part what its allocations cost.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
