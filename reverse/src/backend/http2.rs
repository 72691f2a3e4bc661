//! The HTTP/2 connections to a backend that its exchanges share.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::task::AbortOnDropHandle;

use super::dial::Transport;
use super::upload::Upload;

/// Bytes that one stream may receive before they are read.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes that all streams may receive together: the maximum. A smaller window would be used up by a few streams with slow
/// clients and stall all the others (T19). Memory stays bounded by the stream window and by `--max-connections`.
const CONNECTION_WINDOW_BYTES: u32 = i32::MAX as u32;
/// As for HTTP/1.1.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// Exchanges on one connection; more open another one. Servers are advised to allow at least this many (RFC 9113 §6.5.2);
/// streams beyond their limit would wait in the HTTP library for an unbounded time.
const MAX_STREAMS: usize = 100;
/// Silence before a PING while exchanges are open. gRPC servers close the connection with all its calls if they are pinged
/// more often than every 5 minutes without data
/// (<https://github.com/grpc/grpc/blob/master/doc/keepalive.md>). TCP keep-alive notices a dead machine sooner (`dial`).
const PING_INTERVAL: Duration = Duration::from_secs(310);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A handle of a shared connection.
#[derive(Clone)]
pub(crate) struct Http2 {
    pub(crate) sender: SendRequest<Upload>,
    /// Drives the connection; ends with the last handle. The list of open connections has one, too.
    task: Arc<AbortOnDropHandle<()>>,
}

impl Http2 {
    /// Starts HTTP/2 on a new connection.
    pub(crate) async fn handshake(transport: Transport) -> hyper::Result<Self> {
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

    /// Not counting the list's handle.
    fn has_room(&self) -> bool {
        Arc::strong_count(&self.task) <= MAX_STREAMS
    }
}

/// The open connections.
#[derive(Default)]
pub(crate) struct SharedConnections(Mutex<Vec<Http2>>);

/// Permission to dial one more. Other exchanges wait for its result.
pub(crate) struct DialPermit<'a>(MutexGuard<'a, Vec<Http2>>);

impl SharedConnections {
    /// An open connection with room, or the permission to dial one.
    pub(crate) async fn get(&self) -> Result<Http2, DialPermit<'_>> {
        let mut open = self.0.lock().await;
        open.retain(Http2::is_open);
        match open.iter().find(|connection| connection.has_room()) {
            Some(connection) => Ok(connection.clone()),
            None => Err(DialPermit(open)),
        }
    }
}

impl DialPermit<'_> {
    /// Shares the new connection.
    pub(crate) fn add(&mut self, connection: Http2) -> Http2 {
        self.0.push(connection.clone());
        connection
    }
}
