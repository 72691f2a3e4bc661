//! Waiting, but not for ever.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How long [`soon`], [`eventually`] and the clients of this crate wait: longer than a loaded machine needs for any
/// one step, and short enough to read the message before losing patience.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How often [`eventually`] looks: too short to be noticed in a test, long enough to leave the processor to others.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What `future` gives.
///
/// # Panics
///
/// When `limit` is over first, with the place of the call.
#[track_caller]
pub fn within<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        match timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("{place}: nothing happened for {limit:?}"),
        }
    }
}

/// What `future` gives within [`DEADLINE`].
///
/// # Panics
///
/// As [`within`].
#[track_caller]
pub fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    within(DEADLINE, future)
}

/// Waits for a state that no event tells of: `eventually("the gateway is ready", async || ready(&url).await).await`.
///
/// # Panics
///
/// When `holds` has not said yes within [`DEADLINE`], with `what` and the place of the call.
#[track_caller]
pub fn eventually<H: AsyncFnMut() -> bool>(what: &str, holds: H) -> impl Future<Output = ()> {
    holds_within(DEADLINE, what, holds)
}

#[track_caller]
fn holds_within<H: AsyncFnMut() -> bool>(
    limit: Duration,
    what: &str,
    mut holds: H,
) -> impl Future<Output = ()> {
    let place = Location::caller();
    async move {
        let looking = async {
            while !holds().await {
                sleep(LOOK_AGAIN).await;
            }
        };
        if timeout(limit, looking).await.is_err() {
            panic!("{place}: not within {limit:?}: {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "deadline.rs")]
    async fn what_never_happens_panics_with_the_place() {
        within(Duration::from_millis(1), std::future::pending::<()>()).await;
    }

    #[tokio::test]
    async fn a_state_is_waited_for() {
        let mut looks = 0;

        eventually("the third look", async || {
            looks += 1;
            looks == 3
        })
        .await;

        assert_eq!(looks, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "not within 20ms: pigs fly")]
    async fn a_state_that_never_comes_panics_with_its_name() {
        holds_within(Duration::from_millis(20), "pigs fly", async || false).await;
    }
}
