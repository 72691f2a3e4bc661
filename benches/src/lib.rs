//! What the benches share: the requests they measure, the clients that send them, the clocks they read, the ways they
//! repeat, and the programs that they start.
//!
//! What each bench measures, and what is to be subtracted from it, is in `README.md`.

mod accept;
pub mod answer;
mod clock;
pub mod contents;
mod cost;
mod fixed;
pub mod heads;
#[cfg(target_os = "linux")]
mod kind;
mod lanes;
#[cfg(target_os = "linux")]
mod load;
mod members;
pub mod memory;
pub mod native;
mod noted;
pub mod programs;
mod report;
mod spread;
mod steady;
pub mod transfer;
pub mod usage;

pub use accept::accept_all;
pub use clock::{CpuTime, criterion};
pub use cost::{Cost, Meter};
pub use fixed::Fixed;
#[cfg(target_os = "linux")]
pub use kind::{Kind, Measured};
pub use lanes::{Exchange, Lanes, runtime};
#[cfg(target_os = "linux")]
pub use load::Load;
pub use members::{Clock, Member, Used};
pub use memory::Memory;
pub use noted::with_note;
pub use report::{Report, Wanted};
pub use spread::Spread;
pub use steady::Steady;

/// The programs' own allocator: what a piece costs is in good part what its allocations cost.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
