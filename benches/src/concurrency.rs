//! Repeats an exchange with a given concurrency.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::BenchmarkGroup;
use criterion::measurement::Measurement;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// A runtime like that of the programs: one thread per processor.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("a runtime starts")
}

/// A request and its whole response, repeatable.
pub trait Exchange: Clone + Send + 'static {
    /// Runs it once.
    ///
    /// # Panics
    ///
    /// If it fails: a failure is fast and would look like a good result.
    fn run(&self) -> impl Future<Output = ()> + Send;
}

/// A number of concurrent exchanges on a runtime's threads.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency<'a> {
    runtime: &'a Runtime,
    tasks: usize,
}

impl<'a> Concurrency<'a> {
    /// This number of tasks on this runtime.
    pub fn new(runtime: &'a Runtime, tasks: usize) -> Self {
        Self { runtime, tasks }
    }

    /// Measures `exchange`. Criterion's time is per exchange: with several tasks and the wall clock it is
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

    /// Runs `count` exchanges in total, and returns when the last has completed.
    fn run(self, count: u64, exchange: &impl Exchange) {
        let left = Arc::new(AtomicU64::new(count));
        let mut tasks = JoinSet::new();
        for _ in 0..self.tasks {
            let (left, exchange) = (Arc::clone(&left), exchange.clone());
            let task = async move {
                while one_less(&left) {
                    exchange.run().await;
                }
            };
            tasks.spawn_on(task, self.runtime.handle());
        }
        self.runtime.block_on(tasks.join_all());
    }
}

/// Takes one of the remaining exchanges. Returns whether there was one.
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
        for (tasks, count) in [(1, 10), (64, 10), (3, 100)] {
            let counter = Counter::default();

            Concurrency::new(&runtime, tasks).run(count, &counter);

            assert_eq!(counter.0.load(Ordering::Relaxed), count, "{tasks} tasks");
        }
    }
}
