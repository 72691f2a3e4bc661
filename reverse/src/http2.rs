//! The HTTP/2 connection to a backend that all its exchanges share.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::dial::Transport;
use crate::upload::Upload;

/// What one stream may send before somebody reads it.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// What all may send together. The most there is: a smaller one would be used up by a few streams whose clients read
/// slowly, and hold up all the others (T19). What a stream may hold is bounded above, and how many there are by
/// `--max-connections`.
const CONNECTION_WINDOW_BYTES: u32 = i32::MAX as u32;
/// As for HTTP/1.1.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// A backend that hangs is noticed in 40 s, also where nothing is to be sent for hours.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The way onto a shared connection.
#[derive(Clone)]
pub(crate) struct Http2 {
    pub(crate) sender: SendRequest<Upload>,
    /// Drives it; ends with the last who uses it.
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Http2 {
    /// Begins to speak HTTP/2.
    pub(crate) async fn over(transport: Transport) -> hyper::Result<Self> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(MAX_HEAD_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        let (sender, connection) = builder.handshake(TokioIo::new(transport)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to a backend ended");
            }
        });
        Ok(Self { sender, _task: Arc::new(AbortOnDropHandle::new(task)) })
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// The one that is open at the moment.
#[derive(Default)]
pub(crate) struct Current(Mutex<Option<Http2>>);

/// Held by the one who makes a new one; the others wait for it.
pub(crate) type Place<'a> = tokio::sync::MutexGuard<'a, Option<Http2>>;

impl Current {
    /// The open one, or the right to make one.
    pub(crate) async fn get(&self) -> Result<Http2, Place<'_>> {
        let mut current = self.0.lock().await;
        match current.take().filter(Http2::is_open) {
            Some(open) => Ok(current.insert(open).clone()),
            None => Err(current),
        }
    }
}
