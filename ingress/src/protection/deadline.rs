//! A timer that is set often and rarely fires. Moving it later costs nothing: it checks again when it wakes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer of a stream or body, created at the first poll.
#[derive(Debug, Default)]
pub(crate) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// Ready at `at` or later; otherwise wakes the task then.
    pub(crate) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_is_ready_when_it_was_set_for_last() {
        let (mut deadline, start) = (Deadline::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        let is_early = poll_fn(|cx| Poll::Ready(deadline.poll(after(100_000), cx).is_pending())).await;
        assert!(is_early);

        // Sooner than before, and then later.
        for at in [after(20), after(40)] {
            poll_fn(|cx| deadline.poll(at, cx)).await;

            assert!(Instant::now() >= at);
        }
    }
}
