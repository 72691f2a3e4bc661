//! Runs the exchanges of an HTTP/2 connection as tasks with a write timeout: a client that keeps a stream's window closed
//! would otherwise hold its exchange forever. hyper then holds the next piece of the body and does not poll the body for
//! more, so the time since a piece was handed over is the time for which the client has read nothing.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use hyper::rt::Executor;
use tokio::time::Instant;

use crate::observability::metrics::Limit;
use crate::protection::deadline::Deadline;
use crate::protection::in_flight::ClientConnection;

tokio::task_local! {
    /// Since when a piece of this stream's body is pending.
    static HANDED: Arc<Mutex<Option<Instant>>>;
}

/// The body is polled for its next piece: everything before has been sent.
pub(crate) fn body_resumes() {
    hand(None);
}

/// The body has returned a piece.
pub(crate) fn piece_waits() {
    hand(Some(Instant::now()));
}

/// HTTP/1 has no such tasks; there the connection's stream is timed.
fn hand(since: Option<Instant>) {
    let _is_http1 = HANDED.try_with(|handed| *handed.lock().unwrap_or_else(PoisonError::into_inner) = since);
}

/// Yields once, so that hyper can drop an exchange whose stream is already reset. A request that arrives in one segment
/// with its reset then costs no NATS message.
pub(crate) async fn unless_reset() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Spawns the tasks that hyper runs for a connection.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    connection: Arc<ClientConnection>,
}

impl Streams {
    pub(crate) fn new(connection: Arc<ClientConnection>) -> Self {
        Self { connection }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let handed = Arc::new(Mutex::new(None));
        tokio::spawn(HANDED.scope(handed.clone(), until_stalled(stream, handed, self.connection.clone())));
    }
}

/// Runs a stream to its end, or resets it by dropping it when its writes stall.
async fn until_stalled(
    stream: impl Future<Output = ()>,
    handed: Arc<Mutex<Option<Instant>>>,
    connection: Arc<ClientConnection>,
) {
    let mut stream = pin!(stream);
    let mut deadline = Deadline::default();
    let is_stalled = poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        match *handed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(since) => deadline.poll(since + connection.limits.write_timeout, cx).map(|()| true),
            None => Poll::Pending,
        }
    });
    if is_stalled.await {
        connection.limited(Limit::Write);
    }
}
