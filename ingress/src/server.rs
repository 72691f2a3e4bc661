//! From a listening socket to requests: one accept loop and one way through a connection, for cleartext and TLS,
//! HTTP/1.1 and HTTP/2.
//!
//! A permit comes before the accept, so that connections beyond the limit wait in the kernel's queue. Every step until
//! the first request has a deadline.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::Upstream;
use crate::exchange::Edge;
use crate::forwarded::Peer;
use crate::limits::Limits;
use crate::linger::Linger;
use crate::metrics::Metrics;
use crate::open::ClientConnection;
use crate::preface;
use crate::shutdown::{Phase, ShutdownWatch};

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Everything that connections share.
#[derive(Clone)]
pub(crate) struct Server<U> {
    pub(crate) edge: Arc<Edge<U>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connections: TaskTracker,
    pub(crate) shutdown: ShutdownWatch,
}

impl<U: Upstream> Server<U> {
    /// Accepts until the shutdown begins.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let mut draining = self.shutdown.clone();
        let mut draining = pin!(draining.reached(Phase::Draining));
        loop {
            let next = next_connection(&listener, &self.edge.live.connection_permits);
            let (stream, address, permit) = tokio::select! {
                biased;
                () = &mut draining => return,
                next = next => next,
            };
            self.connections.spawn(self.clone().serve(stream, address, permit));
        }
    }

    async fn serve(self, stream: TcpStream, address: SocketAddr, _permit: OwnedSemaphorePermit) {
        tune(&stream);
        let policy = self.edge.live.policy();
        let peer = Peer::new(address.ip(), policy.tls.is_some(), policy.trusted_proxies.clone());
        let connection = Arc::new(ClientConnection::new(peer, self.metrics.clone()));
        let stream = Linger::new(stream, connection.clone());
        let mut draining = self.shutdown.clone();
        let served = match &policy.tls {
            None => {
                let opening = timeout(policy.limits.opening_timeout, preface::detect(stream));
                match or_drained(&mut draining, opening).await {
                    Ok((protocol, stream)) => self.drive(protocol, stream, &connection, &policy.limits).await,
                    Err(error) => Err(error.into()),
                }
            }
            Some(tls) => {
                let opening = timeout(policy.limits.opening_timeout, tls.accept(stream));
                match or_drained(&mut draining, opening).await {
                    Ok(stream) => self.drive(by_alpn(&stream), stream, &connection, &policy.limits).await,
                    Err(error) => Err(error.into()),
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%address, error, "a client connection ended early");
        }
    }

    /// Serves requests until the connection ends.
    async fn drive<S>(
        &self,
        protocol: Protocol,
        stream: S,
        connection: &Arc<ClientConnection>,
        limits: &Limits,
    ) -> Result<(), crate::BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let (edge, connection) = (self.edge.clone(), connection.clone());
            async move { Ok::<_, std::convert::Infallible>(edge.answer(connection, request).await) }
        });
        let stream = TokioIo::new(stream);
        match protocol {
            Protocol::Http1 => {
                let http = pin!(http1(limits).serve_connection(stream, service).with_upgrades());
                self.until_cut(http, http1::UpgradeableConnection::graceful_shutdown, connection).await
            }
            Protocol::Http2 => {
                let http = pin!(http2(limits).serve_connection(stream, service));
                self.until_cut(http, http2::Connection::graceful_shutdown, connection).await
            }
        }
    }

    async fn until_cut<C>(
        &self,
        mut http: Pin<&mut C>,
        begin_drain: impl FnOnce(Pin<&mut C>),
        connection: &ClientConnection,
    ) -> Result<(), crate::BoxError>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            biased;
            ended = http.as_mut() => return Ok(ended?),
            () = shutdown.reached(Phase::Draining) => begin_drain(http.as_mut()),
        }
        tokio::select! {
            biased;
            ended = http.as_mut() => Ok(ended?),
            () = shutdown.reached(Phase::Cut) => {
                connection.cut();
                Err("cut off by the shutdown".into())
            }
        }
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.buffer_bytes);
    http
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .enable_connect_protocol()
        .keep_alive_interval(limits.http2_ping_interval)
        .keep_alive_timeout(limits.opening_timeout)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.http2_streams)
        .initial_stream_window_size(limits.http2_stream_window_bytes)
        .initial_connection_window_size(limits.http2_connection_window_bytes)
        .max_send_buf_size(limits.buffer_bytes)
        .max_pending_accept_reset_streams(limits.http2_resets);
    http
}

/// Waits for room first, then for a client. A failed accept is waited out: out of file descriptors, accepting at once
/// again would only burn a core.
async fn next_connection(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
    let mut backoff = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, permit),
            Err(error) if is_clients_fault(&error) => {}
            Err(error) => {
                tracing::warn!(%error, ?backoff, "cannot accept connections right now");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(Duration::from_secs(1));
            }
        }
    }
}

/// The client left between the kernel's accept and ours (accept(2)).
fn is_clients_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// No waiting for more to send; and a probe now and then, so that a client that vanished without a word from a quiet
/// stream is noticed.
fn tune(stream: &TcpStream) {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let tuned = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = tuned {
        tracing::debug!(%error, "socket options were not taken");
    }
}

/// An opening that takes too long, or that the shutdown overtakes, is over.
async fn or_drained<T>(
    shutdown: &mut ShutdownWatch,
    opening: impl Future<Output = Result<io::Result<T>, tokio::time::error::Elapsed>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        opened = opening => opened.map_err(io::Error::from)?,
        () = shutdown.reached(Phase::Draining) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn by_alpn(stream: &tokio_rustls::server::TlsStream<Linger>) -> Protocol {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    }
}
