//! Repeating an exchange, one or several at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::BenchmarkGroup;
use criterion::measurement::Measurement;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// A runtime as the programs have: as many threads as there are processors.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("a runtime starts")
}

/// A request and its whole response, as often as is asked for.
pub trait Exchange: Clone + Send + 'static {
    /// One of them.
    ///
    /// # Panics
    ///
    /// When it does not end well: what fails is quick, and would pass for a good result.
    fn run(&self) -> impl Future<Output = ()> + Send;
}

/// So many exchanges at the same time, on a runtime's own threads.
#[derive(Clone, Copy, Debug)]
pub struct Lanes<'a> {
    runtime: &'a Runtime,
    lanes: usize,
}

impl<'a> Lanes<'a> {
    /// So many on this runtime.
    pub fn new(runtime: &'a Runtime, lanes: usize) -> Self {
        Self { runtime, lanes }
    }

    /// Measures `exchange`. Criterion's time is per exchange: with several lanes and the clock on the wall that is
    /// the time from one's end to the next one's, not the time that each takes.
    pub fn measure<M: Measurement>(
        self,
        group: &mut BenchmarkGroup<'_, M>,
        clock: &M,
        name: &str,
        exchange: impl Exchange,
    ) {
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let start = clock.start();
                self.run(count, &exchange);
                clock.end(start)
            });
        });
    }

    /// `count` exchanges in all; returns when the last has ended.
    fn run(self, count: u64, exchange: &impl Exchange) {
        let left = Arc::new(AtomicU64::new(count));
        let mut lanes = JoinSet::new();
        for _ in 0..self.lanes {
            let (left, exchange) = (Arc::clone(&left), exchange.clone());
            let lane = async move {
                while one_less(&left) {
                    exchange.run().await;
                }
            };
            lanes.spawn_on(lane, self.runtime.handle());
        }
        self.runtime.block_on(lanes.join_all());
    }
}

/// Whether there was one left.
fn one_less(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Counter(Arc<AtomicU64>);

    impl Exchange for Counter {
        async fn run(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn as_often_as_was_asked_for() {
        let runtime = runtime();
        for (lanes, count) in [(1, 10), (64, 10), (3, 100)] {
            let counter = Counter::default();

            Lanes::new(&runtime, lanes).run(count, &counter);

            assert_eq!(counter.0.load(Ordering::Relaxed), count, "{lanes} lanes");
        }
    }
}
