//! How many threads a program works with that passes on what others say.

use std::num::NonZero;
use std::thread::available_parallelism;

/// As many as the flag says; otherwise half of the processors that the process may use, and at least one.
///
/// The other half is what the kernel needs for the same sockets, and the NATS server and responders beside. A thread more
/// than that costs requests: threads that take turns on a processor pass on less at a time, and each piece wakes others.
pub fn threads(flag: Option<u16>) -> usize {
    match flag {
        Some(count) => usize::from(count),
        None => available_parallelism().map_or(1, NonZero::get).div_ceil(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_decides_and_otherwise_the_processors_do() {
        assert_eq!(threads(Some(7)), 7);
        assert!((1..=available_parallelism().unwrap().get()).contains(&threads(None)));
    }
}
