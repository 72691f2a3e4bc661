//! How many threads a program works with that passes on what others say.

use std::num::NonZero;
use std::thread::available_parallelism;

/// As many as the flag says, or else one for each processor that the process may use.
///
/// With all of them, what floods one thread leaves the others to everybody else. Fewer are for machines that others need
/// as well.
pub fn threads(flag: Option<u16>) -> usize {
    flag.map_or_else(|| available_parallelism().map_or(1, NonZero::get), usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_decides_and_otherwise_the_processors_do() {
        assert_eq!(threads(Some(7)), 7);
        assert_eq!(threads(None), available_parallelism().unwrap().get());
    }
}
