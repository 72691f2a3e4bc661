//! Decides where a responder's exchange begins: in the task that reads messages, while services are quick.
//!
//! Many services respond at once. A separate task for each exchange costs as much as the response itself, and its frame
//! is written alone; handled one after the other, the responses to all received requests are written together. A
//! service that computes runs in separate tasks and so uses all processors.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

/// The average time allowed for a first step here: several times a ready response, half of a small guest's.
const QUICK: Duration = Duration::from_micros(10);
/// The total time beyond that average before exchanges begin in separate tasks.
const MOST_DEBT: Duration = Duration::from_micros(500);
/// The most that one exchange counts, because the kernel may have preempted the thread.
const MOST_COUNTED: Duration = Duration::from_micros(200);
/// The number of exchanges that then begin in separate tasks before the next is tried here.
const ELSEWHERE: u32 = 1_000;

/// Begins the exchanges of one service. Only one task reads the messages, so the counters have one writer.
#[derive(Debug, Default)]
pub(crate) struct InlineExecutor {
    /// In nanoseconds.
    debt: AtomicU64,
    /// The number of exchanges still to begin in separate tasks.
    elsewhere: AtomicU32,
}

impl InlineExecutor {
    /// Runs an exchange: here if it ends at once, otherwise in a separate task.
    pub(crate) fn take(&self, exchange: impl Future<Output = ()> + Send + 'static) {
        // The future has some kilobytes: boxed, it is moved once instead of at each hand-over.
        let mut exchange = Box::pin(exchange);
        let elsewhere = self.elsewhere.load(Ordering::Relaxed);
        if elsewhere > 0 {
            self.elsewhere.store(elsewhere - 1, Ordering::Relaxed);
            tokio::spawn(exchange);
            return;
        }
        let begin = Instant::now();
        // The no-op waker loses wake-ups; the first poll in the new task registers again.
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
