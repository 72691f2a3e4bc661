//! Resource usage and limits of a process, from Linux (proc(5)).

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The user and system time of some processes. Linux counts in hundredths of a second: enough for the sum of
/// some rounds.
pub fn processor_time(processes: &[u32]) -> Duration {
    let ticks = processes.iter().map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("/proc has the process");
        // The name, in parentheses, may have spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let times = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        times.sum::<u64>()
    });
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// The resident memory of a process, in bytes.
pub fn resident_bytes(process: u32) -> u64 {
    status_bytes(process, "VmRSS:")
}

/// The peak of resident memory since the start or since [`forget_peak`].
pub fn peak_bytes(process: u32) -> u64 {
    status_bytes(process, "VmHWM:")
}

/// Resets the peak to the current memory.
pub fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("it is a process of ours");
}

fn status_bytes(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc has the process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("one line is of memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Raises the limit of file descriptors to the maximum, for thousands of connections.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, opening sockets fails later.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
