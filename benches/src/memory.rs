//! Memory of programs.

use crate::TrackedProcess;
use crate::usage::{forget_peak, peak_bytes, resident_bytes};

/// The target of a program's memory above idle, whatever its clients do.
pub const TARGET_BYTES: u64 = 64 << 20;

/// The memory of idle programs, and their peaks since.
#[derive(Debug)]
pub struct Memory(Vec<(TrackedProcess, u64)>);

/// The memory of one program, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The displayed name.
    pub name: &'static str,
    /// When idle.
    pub idle: u64,
    /// The peak above idle, since then.
    pub most: u64,
    /// The current memory above idle.
    pub now: u64,
}

impl Memory {
    /// Records the current memory as idle memory, and resets the peaks.
    pub fn watch(processes: &[TrackedProcess]) -> Self {
        processes.iter().for_each(|process| forget_peak(process.id));
        Self(processes.iter().map(|process| (*process, resident_bytes(process.id))).collect())
    }

    /// The memory since then.
    pub fn held(&self) -> impl Iterator<Item = Held> {
        self.0.iter().map(|(process, idle)| Held {
            name: process.name,
            idle: *idle,
            most: peak_bytes(process.id).saturating_sub(*idle),
            now: resident_bytes(process.id).saturating_sub(*idle),
        })
    }

    /// Resets the peaks, but not the idle memory.
    pub fn forget_peaks(&self) {
        self.0.iter().for_each(|(process, _)| forget_peak(process.id));
    }

    /// Prints one line per program.
    pub fn show(&self) {
        for Held { name, idle, most, .. } in self.held() {
            println!(
                "  {name:12} {:5.1} MiB idle, peak {:5.1} MiB above   target {} MiB",
                mib(idle),
                mib(most),
                mib(TARGET_BYTES)
            );
        }
    }
}

/// Converts bytes to MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
