//! Which exchanges have been without an answer for a while.
//!
//! One ticker for all of them: a timer of 20 ms for each would be nearer than anything else that the runtime waits for,
//! and so wake its driver up, with a system call, for every exchange that is not answered at once.

use std::sync::Arc;
use std::time::Duration;

use crate::sync::{AtomicBool, AtomicUsize, Notify, Ordering, sleep, spawn};

/// A request that is all there and answered within this time costs one message each way. After it, and after twice as
/// long at the latest, the gateway is told who is at work, so that it can cancel.
const QUIET: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    /// Who has come since the last tick.
    arrivals: AtomicUsize,
    is_ticking: AtomicBool,
    /// Ticks so far.
    count: AtomicUsize,
    ticks: Notify,
}

impl Quiet {
    /// Waits for one to two times 20 ms.
    pub(crate) async fn pass(self: &Arc<Self>) {
        // The first tick comes at any time; up to the second there is a whole one.
        let end = self.count.load(Ordering::SeqCst) + 2;
        self.arrivals.fetch_add(1, Ordering::SeqCst);
        if !self.is_ticking.swap(true, Ordering::SeqCst) {
            spawn(Arc::clone(self).tick());
        }
        loop {
            // Before the look at the count: a task that is not run for some ticks finds that they have passed.
            let tick = self.ticks.notified();
            if self.count.load(Ordering::SeqCst) >= end {
                return;
            }
            tick.await;
        }
    }

    /// Until nobody has come for a while: everybody has had their two by then.
    async fn tick(self: Arc<Self>) {
        let mut idle_ticks = 0;
        loop {
            sleep(QUIET).await;
            idle_ticks = if self.arrivals.swap(0, Ordering::SeqCst) > 0 { 0 } else { idle_ticks + 1 };
            self.count.fetch_add(1, Ordering::SeqCst);
            self.ticks.notify_waiters();
            if idle_ticks < 3 {
                continue;
            }
            self.is_ticking.swap(false, Ordering::SeqCst);
            // Who came before that saw a ticker; who comes after it starts one.
            if self.arrivals.load(Ordering::SeqCst) == 0 || self.is_ticking.swap(true, Ordering::SeqCst) {
                return;
            }
            idle_ticks = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn everybody_waits_for_one_to_two_ticks() {
        let quiet = Arc::<Quiet>::default();
        for pause in [0, 15, 30, 90, 200] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let began = Instant::now();
            tokio::time::timeout(Duration::from_secs(10), quiet.pass()).await.unwrap();
            assert!(began.elapsed() >= QUIET, "{:?} after {pause} ms", began.elapsed());
        }
    }

    #[tokio::test]
    async fn nobody_is_forgotten_whenever_the_ticker_ends() {
        let quiet = Arc::<Quiet>::default();
        let many = (0..300).map(|at| {
            let quiet = Arc::clone(&quiet);
            async move {
                tokio::time::sleep(Duration::from_millis(at)).await;
                quiet.pass().await;
            }
        });
        let all = futures_util::future::join_all(many);
        tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    }
}
