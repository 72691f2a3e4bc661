//! Waiting with a deadline.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How long [`soon`], [`eventually`] and the clients of this crate wait: more than any one step takes on a loaded
/// machine.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The polling interval of [`eventually`]: short for a test, yet little load.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Awaits `future`.
///
/// # Panics
///
/// When `limit` elapses first, with the location of the call.
#[track_caller]
pub fn within<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        match timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("{place}: not done within {limit:?}"),
        }
    }
}

/// Awaits `future` for at most [`DEADLINE`].
///
/// # Panics
///
/// As [`within`].
#[track_caller]
pub fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    within(DEADLINE, future)
}

/// Waits for a state that no event announces: `eventually("the gateway is ready", async || ready(&url).await).await`.
///
/// # Panics
///
/// When `holds` has not returned true within [`DEADLINE`], with `what` and the location of the call.
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
                sleep(POLL_INTERVAL).await;
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
    async fn a_future_that_never_completes_panics_with_the_location() {
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
    async fn a_state_that_is_never_reached_panics_with_its_name() {
        holds_within(Duration::from_millis(20), "pigs fly", async || false).await;
    }
}
