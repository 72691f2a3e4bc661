//! What programs keep of what they pass on.

use crate::Member;
use crate::usage::{forget_peak, peak_bytes, resident_bytes};

/// What a program may keep beyond what it has when it is idle, whatever its clients do.
pub const TARGET_BYTES: u64 = 64 << 20;

/// Memory of some programs when they were idle. Linux watches them from then on.
#[derive(Debug)]
pub struct Memory(Vec<(Member, u64)>);

/// What one of them had, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// By the name that is shown.
    pub name: &'static str,
    /// Before.
    pub idle: u64,
    /// More than that at most, since then.
    pub most: u64,
    /// More than that now.
    pub now: u64,
}

impl Memory {
    /// What they have now is what they have idle.
    pub fn watch(members: &[Member]) -> Self {
        members.iter().for_each(|member| forget_peak(member.id));
        Self(members.iter().map(|member| (*member, resident_bytes(member.id))).collect())
    }

    /// What they have had since then.
    pub fn held(&self) -> impl Iterator<Item = Held> {
        self.0.iter().map(|(member, idle)| Held {
            name: member.name,
            idle: *idle,
            most: peak_bytes(member.id).saturating_sub(*idle),
            now: resident_bytes(member.id).saturating_sub(*idle),
        })
    }

    /// What they have now is the most that they have had; what they had idle stays.
    pub fn forget_peaks(&self) {
        self.0.iter().for_each(|(member, _)| forget_peak(member.id));
    }

    /// One line for each.
    pub fn show(&self) {
        for Held { name, idle, most, .. } in self.held() {
            println!(
                "  {name:12} had {:5.1} MiB idle, and {:5.1} MiB more at most   target {} MiB",
                mib(idle),
                mib(most),
                mib(TARGET_BYTES)
            );
        }
    }
}

/// As many MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
