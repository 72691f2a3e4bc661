//! The exchanges of an HTTP/2 connection, each a task, and watched: a client may keep a stream's window shut, and its
//! exchange would hold a place for ever. hyper then waits for room with the next piece of the body in hand, and does not
//! ask the body for more; so the time since a piece was handed over is the time for which the client took nothing.

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
    /// Since when a piece of this stream's body waits for the client.
    static HANDED: Arc<Mutex<Option<Instant>>>;
}

/// The body is asked for its next piece: all before has found room.
pub(crate) fn body_resumes() {
    hand(None);
}

/// The body has handed a piece over.
pub(crate) fn piece_waits() {
    hand(Some(Instant::now()));
}

/// Over HTTP/1 there are no such tasks, and the connection itself is watched.
fn hand(since: Option<Instant>) {
    let _is_http1 = HANDED.try_with(|handed| *handed.lock().unwrap_or_else(PoisonError::into_inner) = since);
}

/// Lets hyper look whether the client has taken the stream back already, and drop what awaits this: it does while an
/// exchange waits for something. What comes in one segment with its reset costs no message to NATS.
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

/// Spawns what hyper has to run for a connection.
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

/// Runs a stream to its end, or drops it, which resets it.
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
