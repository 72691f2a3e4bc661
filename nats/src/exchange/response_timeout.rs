//! How long a response's head is awaited: until an instant, or for as long as the request's body moves on and a while
//! after that.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// When a body last moved on. Shared by whoever moves it and whoever waits.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    /// In microseconds since it began.
    last: AtomicU64,
}

impl Default for Progress {
    /// As if something had moved now.
    fn default() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Progress {
    /// A piece of the body has moved on, or its end.
    pub fn moved(&self) {
        let since = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last.fetch_max(since, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }
}

/// Until when a response's head is awaited.
#[derive(Clone, Debug)]
pub enum ResponseTimeout {
    /// Until then, whatever moves.
    Until(Instant),
    /// Until nothing of the request's body has moved on for a while.
    WhileMoving {
        /// Of the body, until all of it has moved on.
        progress: Arc<Progress>,
        /// How long it may stand still, and how long the head may take after its last piece.
        timeout: Duration,
        /// Not longer than this, however it moves.
        at_most: Option<Instant>,
    },
}

impl ResponseTimeout {
    /// When it ends, unless something moves until then.
    pub fn ends(&self) -> Instant {
        match self {
            Self::Until(instant) => *instant,
            Self::WhileMoving { progress, timeout, at_most } => {
                let still = progress.last() + *timeout;
                at_most.map_or(still, |at_most| at_most.min(still))
            }
        }
    }

    /// What `work` comes to, unless patience ends before it. Nothing but one timer, as long as nothing moves.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, and so does its end.
    pub async fn over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let ends = self.ends();
            match timeout_at(ends, work.as_mut()).await {
                Ok(done) => return Some(done),
                // It has moved meanwhile.
                Err(_) if self.ends() > ends => {}
                Err(_) => return None,
            }
        }
    }

    /// What is to be told of the body's moves, where they count.
    pub(crate) fn progress(&self) -> Option<&Arc<Progress>> {
        match self {
            Self::Until(_) => None,
            Self::WhileMoving { progress, .. } => Some(progress),
        }
    }

    /// The body has moved on.
    pub(crate) fn moved(&self) {
        if let Some(progress) = self.progress() {
            progress.moved();
        }
    }
}

/// What `work` comes to, unless `end` comes first. Most of it is done at once, and takes no timer then.
pub(crate) async fn until<T>(end: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => timeout_at(end, work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(20);

    fn moving(at_most: Option<Instant>) -> ResponseTimeout {
        ResponseTimeout::WhileMoving { progress: Arc::default(), timeout: TIMEOUT, at_most }
    }

    /// Moves at each look, seven times, and is never done: the first look, and two whenever time is over.
    fn upload(patience: &ResponseTimeout) -> impl Future<Output = ()> {
        let (patience, mut left) = (patience.clone(), 7);
        poll_fn(move |_| {
            if left > 0 {
                left -= 1;
                patience.moved();
            }
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn it_lasts_while_something_moves_and_a_timeout_longer() {
        let (patience, began) = (moving(None), Instant::now());

        let done = patience.over(upload(&patience)).await;

        assert!(done.is_none() && began.elapsed() >= 4 * TIMEOUT, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn it_ends_when_nothing_moves() {
        let patience = moving(None);
        let ends = patience.ends();

        let done = patience.over(pending::<()>()).await;

        assert!(done.is_none() && Instant::now() >= ends && patience.ends() == ends);
    }

    #[tokio::test]
    async fn what_is_done_at_once_needs_no_time_and_the_rest_has_its_end() {
        let past = Instant::now();

        assert_eq!(until(past, async { 1 }).await, Some(1));
        assert_eq!(until(past + TIMEOUT, tokio::task::yield_now()).await, Some(()));
        assert_eq!(until(past + TIMEOUT, pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn an_end_of_its_own_is_not_put_off() {
        let ends = Instant::now() + TIMEOUT;
        for patience in [ResponseTimeout::Until(ends), moving(Some(ends))] {
            let done = patience.over(upload(&patience)).await;

            assert!(done.is_none() && patience.ends() == ends, "{patience:?}");
        }
    }
}
