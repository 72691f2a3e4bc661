//! What a process uses, as Linux tells it (proc(5)), and may use.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// User and system time of some processes together. Linux counts it in hundredths of a second: enough for the sum of
/// some rounds.
pub fn processor_time(processes: &[u32]) -> Duration {
    let ticks = processes.iter().map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("Linux tells of processes");
        // The name, in parentheses, may have spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let times = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        times.sum::<u64>()
    });
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Bytes of memory that a process really has.
pub fn resident_bytes(process: u32) -> u64 {
    status_bytes(process, "VmRSS:")
}

/// The most that it has had, since it began or since [`forget_peak`].
pub fn peak_bytes(process: u32) -> u64 {
    status_bytes(process, "VmHWM:")
}

/// What it has now is the most it has had.
pub fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("it is a process of ours");
}

fn status_bytes(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells of processes");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("one line is of memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// From now on as many descriptors as the system allows this process: connections by the thousand.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // What is not allowed is noticed when sockets run out.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
