//! Shared parts of the benches: measured requests, clients, clocks, repetition,
//! and the started programs.
//!
//! `README.md` describes what each bench measures, and what to subtract from it.

mod accept;
mod annotated;
pub mod answer;
mod clock;
mod concurrency;
pub mod contents;
mod cost;
mod fixed_response;
pub mod heads;
#[cfg(target_os = "linux")]
mod load;
pub mod memory;
pub mod native;
mod open_loop_load;
mod processes;
pub mod programs;
mod report;
#[cfg(target_os = "linux")]
mod scenario;
mod spread;
pub mod transfer;
pub mod usage;

pub use accept::accept_all;
pub use annotated::with_note;
pub use clock::{CpuTime, criterion};
pub use concurrency::{Concurrency, Exchange, runtime};
pub use cost::{Cost, Meter};
pub use fixed_response::FixedResponse;
#[cfg(target_os = "linux")]
pub use load::Load;
pub use memory::Memory;
pub use open_loop_load::OpenLoopLoad;
pub use processes::{Clock, TrackedProcess, Used};
pub use report::{Report, Wanted};
#[cfg(target_os = "linux")]
pub use scenario::{Measured, Scenario};
pub use spread::Spread;

/// The allocator of the programs: allocations are a large part of the cost.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
