//! Clocks and measuring times.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput};
use rustix::time::{ClockId, clock_gettime};

/// Few samples: comparisons of two versions look for differences of tenths, not hundredths.
const SAMPLES: usize = 15;
/// Fills caches and pools: some thirty rounds of the slowest bench.
const WARM_UP: Duration = Duration::from_millis(300);
/// The measuring time per bench.
const MEASURING: Duration = Duration::from_millis(1200);
/// Criterion's default is ten times as many, which takes longer than measuring.
const RESAMPLES: usize = 10_000;

/// Processor time of this process, all threads, user and system. It excludes time in which other processes run, but
/// includes the effect of the caches that they evict. Criterion labels it `time`, like
/// [`WallTime`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Nanoseconds
    }
}

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).expect("no process has used less than no time")
}

/// Criterion's formatting of durations.
struct Nanoseconds;

impl ValueFormatter for Nanoseconds {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, typical: f64, per: &Throughput, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_throughputs(typical, per, values)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}

/// Criterion with this clock, short measuring times, and the command line's options.
pub fn criterion<M: Measurement + 'static>(clock: M) -> Criterion<M> {
    Criterion::default()
        .with_measurement(clock)
        .sample_size(SAMPLES)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASURING)
        .nresamples(RESAMPLES)
        .configure_from_args()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_takes_processor_time() {
        let start = CpuTime.start();
        while CpuTime.end(start) < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
    }
}
