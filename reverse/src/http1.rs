//! One HTTP/1.1 connection to a backend, and the idle ones that are kept for the next request.
//!
//! A connection has no task of its own: whoever waits for its response drives it, which saves two wake-ups per request.
//! Only while a request's body is still being sent after the response has begun a task drives it, so that the upload
//! goes on while nobody reads.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::dial::Transport;
use crate::upload::Upload;

/// A response's head, in bytes and in fields: as much as the gateway takes of a request's, and well within what fits one
/// message.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 256;

/// How HTTP/1.1 is spoken to a backend.
pub(crate) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD_BYTES).max_headers(MAX_FIELDS);
    builder
}

type Connection = http1::Connection<TokioIo<Transport>, Upload>;

/// A connection that has a request, or is about to have one.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Upload>,
    driver: Driver,
}

enum Driver {
    Own(Pin<Box<Connection>>),
    /// Ends with us.
    Apart(#[expect(dead_code, reason = "for its Drop")] AbortOnDropHandle<()>),
    Ended,
}

impl Http1 {
    /// Nothing is sent yet.
    pub(crate) async fn over(transport: Transport) -> hyper::Result<Self> {
        let (sender, connection) = builder().handshake(TokioIo::new(transport)).await?;
        Ok(Self { sender, driver: Driver::Own(Box::pin(connection)) })
    }

    /// Sends a request, and drives the connection until the response has begun.
    ///
    /// # Errors
    /// With the request, if nothing of it has been written.
    ///
    /// # Cancel safety
    /// The connection must not be used again.
    pub(crate) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        let mut response = std::pin::pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        std::future::poll_fn(|cx| {
            // First the response: it may be there although the connection has ended after it.
            if let Poll::Ready(response) = response.as_mut().poll(cx) {
                return Poll::Ready(response);
            }
            driver.drive(cx);
            response.as_mut().poll(cx)
        })
        .await
    }

    /// Drives the connection as far as it goes now.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        self.driver.drive(cx);
    }

    /// Lets a task drive it from now on.
    pub(crate) fn drive_apart(&mut self) {
        if let Driver::Own(connection) = std::mem::replace(&mut self.driver, Driver::Ended) {
            let task = tokio::spawn(async {
                // Who has its response hears of it.
                let _ = connection.await;
            });
            self.driver = Driver::Apart(AbortOnDropHandle::new(task));
        }
    }

    /// Can it take a request now? What the backend has done in the meantime is looked at.
    fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.driver.drive(cx);
        matches!(self.driver, Driver::Own(_)) && self.sender.is_ready()
    }
}

impl Driver {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Own(connection) = self
            && connection.as_mut().poll(cx).is_ready()
        {
            *self = Self::Ended;
        }
    }
}

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
            let is_good = std::future::poll_fn(|cx| Poll::Ready(connection.is_ready(cx))).await;
            if is_good && Instant::now() < until {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back, after a response whose fields were `headers`. Not if it is at its end.
    pub(crate) fn give(self: &Arc<Self>, mut connection: Http1, keep: Duration, cx: &mut Context<'_>) {
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
