//! Connections over HTTP/1.1 that have nothing to do, kept for the next request.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};

use crate::http1::Http1;

/// The idle connections of one backend, the youngest last.
pub(crate) struct Pool {
    keep_alive: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Http1, Instant)>,
    /// Somebody closes what has been idle for too long.
    is_watched: bool,
}

impl Pool {
    pub(crate) fn new(keep_alive: Duration) -> Arc<Self> {
        Arc::new(Self { keep_alive, idle: Mutex::default() })
    }

    /// The connection that was used last, if it is still good.
    pub(crate) async fn take(&self) -> Option<Http1> {
        loop {
            let (mut connection, until) = self.idle().connections.pop()?;
            // However much this task has done already: what is not looked at here would pass as good.
            let is_good = unconstrained(poll_fn(|cx| Poll::Ready(connection.is_ready(cx)))).await;
            if is_good && Instant::now() < until {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back, to be kept for so long. Not if it is at its end.
    pub(crate) fn give(self: &Arc<Self>, mut connection: Http1, keep: Duration, cx: &Context<'_>) {
        if keep.is_zero() || !connection.is_ready(cx) {
            return;
        }
        let mut idle = self.idle();
        idle.connections.push((connection, Instant::now() + keep));
        if !std::mem::replace(&mut idle.is_watched, true) {
            tokio::spawn(Self::watch(Arc::downgrade(self), self.keep_alive));
        }
    }

    /// How long a connection may be idle after such a response: less than the backend says it keeps it, so that no
    /// request is written to one that it has just closed.
    pub(crate) fn keep(&self, headers: &HeaderMap) -> Duration {
        let promised = headers.get("keep-alive").and_then(|value| timeout_of(value.to_str().ok()?));
        match promised {
            Some(promised) => self.keep_alive.min(promised.saturating_sub(Duration::from_secs(1))),
            None => self.keep_alive,
        }
    }

    /// Closes connections that nobody has used for as long as they are kept, until there is none.
    async fn watch(pool: Weak<Self>, keep_alive: Duration) {
        loop {
            sleep_until(Instant::now() + keep_alive / 2).await;
            let Some(pool) = pool.upgrade() else { return };
            let mut idle = pool.idle();
            let now = Instant::now();
            idle.connections.retain(|(_, until)| now < *until);
            if idle.connections.is_empty() {
                idle.is_watched = false;
                return;
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // A connection's own drop may panic at worst after it was taken out.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `timeout=5, max=100` (RFC 2068 §19.7.1; still what servers send).
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
    fn idle_connections_are_left_before_the_backend_leaves_them() {
        let pool = Pool::new(Duration::from_secs(4));
        let keep = |value: &'static str| {
            pool.keep(&HeaderMap::from_iter([(
                http::HeaderName::from_static("keep-alive"),
                HeaderValue::from_static(value),
            )]))
            .as_secs()
        };

        assert_eq!(pool.keep(&HeaderMap::new()).as_secs(), 4);
        assert_eq!(
            (keep("timeout=5"), keep("max=7, Timeout=3"), keep("timeout=1"), keep("timeout=0")),
            (4, 2, 0, 0)
        );
        assert_eq!((keep("timeout=x"), keep("")), (4, 4));
    }
}
