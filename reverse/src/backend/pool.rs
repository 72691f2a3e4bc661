//! Idle HTTP/1.1 connections, kept for the next request.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};

use super::http1::Http1;

/// The idle connections of one backend, the most recently used last.
pub(crate) struct Pool {
    keep_alive: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Http1, Instant)>,
    /// A task closes expired connections.
    is_reaped: bool,
}

impl Pool {
    pub(crate) fn new(keep_alive: Duration) -> Arc<Self> {
        Arc::new(Self { keep_alive, idle: Mutex::default() })
    }

    /// The most recently used connection that is still usable.
    pub(crate) async fn take(&self) -> Option<Http1> {
        loop {
            let (mut connection, until) = self.idle().connections.pop()?;
            // Not subject to the task's budget: a connection that is not polled here would pass as usable.
            let is_usable = unconstrained(poll_fn(|cx| Poll::Ready(connection.is_ready(cx)))).await;
            if is_usable && Instant::now() < until {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back and keeps it for `keep`, unless it has ended.
    pub(crate) fn put(self: &Arc<Self>, mut connection: Http1, keep: Duration, cx: &Context<'_>) {
        if keep.is_zero() || !connection.is_ready(cx) {
            return;
        }
        let mut idle = self.idle();
        idle.connections.push((connection, Instant::now() + keep));
        if !std::mem::replace(&mut idle.is_reaped, true) {
            tokio::spawn(Self::reap(Arc::downgrade(self), self.keep_alive));
        }
    }

    /// How long a connection may be idle after a response with these fields: less than the timeout in `Keep-Alive`, so that
    /// no request is written to a connection that the backend has just closed.
    pub(crate) fn keep_for(&self, headers: &HeaderMap) -> Duration {
        let announced = headers.get("keep-alive").and_then(|value| timeout_of(value.to_str().ok()?));
        match announced {
            Some(announced) => self.keep_alive.min(announced.saturating_sub(Duration::from_secs(1))),
            None => self.keep_alive,
        }
    }

    /// Closes expired connections until none is left.
    async fn reap(pool: Weak<Self>, keep_alive: Duration) {
        loop {
            sleep_until(Instant::now() + keep_alive / 2).await;
            let Some(pool) = pool.upgrade() else { return };
            let mut idle = pool.idle();
            let now = Instant::now();
            idle.connections.retain(|(_, until)| now < *until);
            if idle.connections.is_empty() {
                idle.is_reaped = false;
                return;
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // A panic in a connection's drop cannot leave the list inconsistent.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `timeout=5, max=100` (RFC 2068 §19.7.1; servers still send it).
fn timeout_of(keep_alive: &str) -> Option<Duration> {
    let mut parameters = keep_alive.split(',').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, seconds) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn idle_connections_expire_before_the_backend_closes_them() {
        let pool = Pool::new(Duration::from_secs(4));
        let keep = |value: &'static str| {
            pool.keep_for(&HeaderMap::from_iter([(
                http::HeaderName::from_static("keep-alive"),
                HeaderValue::from_static(value),
            )]))
            .as_secs()
        };

        assert_eq!(pool.keep_for(&HeaderMap::new()).as_secs(), 4);
        assert_eq!(
            (keep("timeout=5"), keep("max=7, Timeout=3"), keep("timeout=1"), keep("timeout=0")),
            (4, 2, 0, 0)
        );
        assert_eq!((keep("timeout=x"), keep("")), (4, 4));
    }
}
