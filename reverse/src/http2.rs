//! The HTTP/2 connections to a backend that its exchanges share.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Mutex, MutexGuard};
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
/// Exchanges on one connection; for more there is another one. Servers take at least as many (RFC 9113 §6.5.2), and what
/// is beyond their limit would wait in the library, however long the others are.
const MAX_STREAMS: usize = 100;
/// How long nothing may come while exchanges are open before the backend is asked whether it lives. gRPC servers take it
/// ill, and close the connection with all its calls, if they are pinged more often than every 5 minutes without data
/// (<https://github.com/grpc/grpc/blob/master/doc/keepalive.md>). A machine that is gone is noticed sooner (`dial`).
const PING_INTERVAL: Duration = Duration::from_secs(310);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The way onto a shared connection.
#[derive(Clone)]
pub(crate) struct Http2 {
    pub(crate) sender: SendRequest<Upload>,
    /// Drives it; ends with the last who uses it. One of those is the list of open ones.
    task: Arc<AbortOnDropHandle<()>>,
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
            .keep_alive_timeout(PING_TIMEOUT);
        let (sender, connection) = builder.handshake(TokioIo::new(transport)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to a backend ended");
            }
        });
        Ok(Self { sender, task: Arc::new(AbortOnDropHandle::new(task)) })
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Beside the list's own.
    fn has_room(&self) -> bool {
        Arc::strong_count(&self.task) <= MAX_STREAMS
    }
}

/// Those that are open at the moment.
#[derive(Default)]
pub(crate) struct Current(Mutex<Vec<Http2>>);

/// The right to make one more. The others wait for it.
pub(crate) struct Place<'a>(MutexGuard<'a, Vec<Http2>>);

impl Current {
    /// An open one with room, or the right to make one.
    pub(crate) async fn get(&self) -> Result<Http2, Place<'_>> {
        let mut open = self.0.lock().await;
        open.retain(Http2::is_open);
        match open.iter().find(|connection| connection.has_room()) {
            Some(connection) => Ok(connection.clone()),
            None => Err(Place(open)),
        }
    }
}

impl Place<'_> {
    /// For others, too.
    pub(crate) fn add(&mut self, connection: Http2) -> Http2 {
        self.0.push(connection.clone());
        connection
    }
}
