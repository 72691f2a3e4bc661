//! Where an exchange begins at a responder: in the task that takes messages, while services are quick.
//!
//! Many services answer at once. A task for each of those exchanges costs as much as the answer, and its frame leaves
//! alone; taken one after the other, the answers to all that has arrived leave together. A service that computes has
//! tasks of its own, and so all processors.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

/// What a first step may take here on average: several times an answer that is there, half of a small guest's.
const QUICK: Duration = Duration::from_micros(10);
/// What they may take beyond that, together, before they begin elsewhere.
const MOST_DEBT: Duration = Duration::from_micros(500);
/// No single one counts for more: the kernel may have had other plans with this thread.
const MOST_COUNTED: Duration = Duration::from_micros(200);
/// So many begin in tasks of their own then, before another is tried here.
const ELSEWHERE: u32 = 1_000;

/// Begins the exchanges of one service. One task takes the messages: nobody counts at the same time.
#[derive(Debug, Default)]
pub(crate) struct InlineExecutor {
    /// Nanoseconds.
    debt: AtomicU64,
    /// How many more begin elsewhere.
    elsewhere: AtomicU32,
}

impl InlineExecutor {
    /// Runs an exchange: here if it ends at once, in a task of its own otherwise.
    pub(crate) fn take(&self, exchange: impl Future<Output = ()> + Send + 'static) {
        // Some kilobytes, which are moved once, and not each time that somebody takes it over.
        let mut exchange = Box::pin(exchange);
        let elsewhere = self.elsewhere.load(Ordering::Relaxed);
        if elsewhere > 0 {
            self.elsewhere.store(elsewhere - 1, Ordering::Relaxed);
            tokio::spawn(exchange);
            return;
        }
        let begin = Instant::now();
        // Whatever it registers with nobody, it registers again in its task.
        let is_over = exchange.as_mut().now_or_never().is_some();
        self.took(begin.elapsed());
        if !is_over {
            tokio::spawn(exchange);
        }
    }

    fn took(&self, time: Duration) {
        let debt = Duration::from_nanos(self.debt.load(Ordering::Relaxed));
        let debt = (debt + time.min(MOST_COUNTED)).saturating_sub(QUICK);
        let is_too_much = debt > MOST_DEBT;
        if is_too_much {
            self.elsewhere.store(ELSEWHERE, Ordering::Relaxed);
        }
        let debt = if is_too_much { Duration::ZERO } else { debt };
        self.debt.store(debt.as_nanos() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use tokio::sync::mpsc;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn what_waits_goes_on_in_a_task() {
        let (ended, mut ends) = mpsc::unbounded_channel();
        let inline_executor = InlineExecutor::default();

        inline_executor.take(async move {
            yield_now().await;
            ended.send(tokio::task::try_id().is_some()).unwrap();
        });

        assert_eq!(ends.recv().await, Some(true));
    }

    #[tokio::test]
    async fn who_computes_gets_tasks_for_a_while() {
        let here = tokio::task::try_id();
        let (began, mut begins) = mpsc::unbounded_channel();
        let inline_executor = InlineExecutor::default();
        let exchange = |time: Duration| {
            let began = began.clone();
            async move {
                sleep(time);
                began.send(tokio::task::try_id() == here).unwrap();
            }
        };

        for _ in 0..3 {
            inline_executor.take(exchange(MOST_COUNTED));
        }
        for _ in 0..=ELSEWHERE {
            inline_executor.take(exchange(Duration::ZERO));
        }

        let mut heres = 0;
        for _ in 0..ELSEWHERE + 4 {
            heres += u32::from(begins.recv().await.unwrap());
        }
        assert_eq!(heres, 4, "the slow ones, and the one after the pause");
    }
}
