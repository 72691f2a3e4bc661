//! Runs one client connection under hyper until the client leaves, the connection is idle for too long, is closed for
//! abuse, or the gateway shuts down.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::http::service::GatewayService;
use crate::observability::metrics::Limit;
use crate::protection::h2_streams::Streams;
use crate::protection::in_flight::ClientConnection;
use crate::protection::limits::Limits;
use crate::server::protocol::Protocol;
use crate::server::timeout_io::{MOST_LINGER, TimeoutIo};
use crate::shutdown::{Phase, ShutdownWatch};
use crate::{BoxError, Upstream};

/// How long a client that is closed for abuse may take to read the reason.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(100);
/// Sent when a request head times out: hyper has no request to respond to yet.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\n\r\n\
    The request head took too long\n";
/// Head size at which h2 itself refuses a request (431): less than any target that an
/// `http::Uri` cannot hold, which would have to be met by a reset instead (RFC 9113 §10.5.1 counts 32 bytes a field,
/// `:path` is 5 long, and the longest target 65,534).
const MOST_FIELD_LIST_BYTES: u32 = 65_572;

/// Serves requests until the connection ends.
pub(crate) async fn drive<U, S>(
    service: Arc<GatewayService<U>>,
    protocol: Protocol,
    stream: S,
    connection: &Arc<ClientConnection>,
    shutdown: ShutdownWatch,
) -> Result<(), BoxError>
where
    U: Upstream,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answering = connection.clone();
    let service = service_fn(move |request| service.clone().answer(answering.clone(), request));
    let life = Life { connection, shutdown };
    match protocol {
        Protocol::Http1 => {
            let stream = TokioIo::new(TimeoutIo::http1(stream, connection.clone()));
            let builder = http1(&connection.limits);
            let mut http = builder.serve_connection(stream, service).with_upgrades();
            let ended = life.run(Pin::new(&mut http), http1::UpgradeableConnection::graceful_shutdown).await;
            match http.into_parts().map(|parts| parts.io.into_inner()) {
                Some(stream) if stream.is_late() => say_late(stream.into_inner()).await,
                _ => ended,
            }
        }
        Protocol::Http2 => {
            let stream = TokioIo::new(TimeoutIo::http2(stream, connection.clone()));
            let builder = http2(&connection.limits, Streams::new(connection.clone()));
            let mut http = pin!(builder.serve_connection(stream, service));
            life.run(http.as_mut(), http2::Connection::graceful_shutdown).await
        }
    }
}

/// Watches for the reasons to end a connection.
struct Life<'a> {
    connection: &'a ClientConnection,
    shutdown: ShutdownWatch,
}

impl Life<'_> {
    async fn run<C>(
        mut self,
        mut http: Pin<&mut C>,
        begin_end: impl FnOnce(Pin<&mut C>),
    ) -> Result<(), BoxError>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        tokio::select! {
            biased;
            ended = http.as_mut() => return self.ended(ended),
            () = self.connection.closed_for_abuse() => return self.throw_out(http, begin_end).await,
            () = self.shutdown.reached(Phase::Draining) => begin_end(http.as_mut()),
            () = quiet_for(self.connection, self.connection.limits.idle_timeout) => {
                self.connection.limited(Limit::Idle);
                begin_end(http.as_mut());
            }
        }
        tokio::select! {
            biased;
            ended = http.as_mut() => self.ended(ended),
            () = self.connection.closed_for_abuse() => Err("closed for abuse".into()),
            () = self.shutdown.reached(Phase::Cut) => {
                self.connection.cut();
                Err("force-closed at shutdown".into())
            }
            () = has_not_left(self.connection) => Err("the client did not close in time".into()),
        }
    }

    fn ended(&self, ended: hyper::Result<()>) -> Result<(), BoxError> {
        if let Err(error) = &ended {
            if error.is_parse_too_large() {
                self.connection.limited(Limit::Headers);
            } else if is_flood(error) {
                self.connection.limited_for_abuse(Limit::Flood);
            }
        }
        Ok(ended?)
    }

    /// The stream writes a `GOAWAY` with the reason at hyper's next write (`goaway`).
    async fn throw_out<C>(
        &self,
        mut http: Pin<&mut C>,
        begin_end: impl FnOnce(Pin<&mut C>),
    ) -> Result<(), BoxError>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        begin_end(http.as_mut());
        let _ended = timeout(GOODBYE_TIMEOUT, http).await;
        Err("closed for abuse".into())
    }
}

/// Ends once the connection has been idle for this duration.
async fn quiet_for(connection: &ClientConnection, time: Duration) {
    loop {
        match connection.activity.quiet_since().map(|since| since + time) {
            Some(until) if until <= Instant::now() => return,
            Some(until) => sleep_until(until).await,
            None => sleep(time).await,
        }
    }
}

/// Ends when a gracefully closed connection is still open and idle after the handshake timeout. Exchanges in flight may
/// finish.
async fn has_not_left(connection: &ClientConnection) {
    sleep(connection.limits.handshake_timeout).await;
    quiet_for(connection, connection.limits.handshake_timeout).await;
}

/// Afterwards the socket is closed lingeringly, so that a client that still sends can read the response.
async fn say_late<S: AsyncWrite + Unpin>(mut stream: S) -> Result<(), BoxError> {
    timeout(GOODBYE_TIMEOUT, stream.write_all(TOO_LATE)).await??;
    timeout(MOST_LINGER, stream.shutdown()).await??;
    Err("the request head took too long".into())
}

fn is_flood(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) && !error.is_remote())
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // Heads between the limit and the buffer size get a response (`admission`). `timeout_io` times heads.
    http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(limits.buffer_bytes);
    if limits.fields != Limits::default().fields {
        // The default of hyper needs no allocation.
        http.max_headers(limits.fields);
    }
    http
}

fn http2(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
        .enable_connect_protocol()
        .keep_alive_interval(limits.http2_ping_interval)
        .keep_alive_timeout(limits.handshake_timeout)
        .max_header_list_size(MOST_FIELD_LIST_BYTES)
        .max_concurrent_streams(limits.http2_streams)
        .initial_stream_window_size(limits.http2_stream_window_bytes)
        .initial_connection_window_size(limits.http2_connection_window_bytes)
        .max_send_buf_size(limits.buffer_bytes)
        .max_pending_accept_reset_streams(limits.http2_resets);
    http
}
