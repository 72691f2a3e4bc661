//! Connections for outgoing requests: name resolution, TCP, and TLS for `https`.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower_service::Service;

use crate::outgoing::allow_list::default_port;

/// Timeout of resolving, connecting and the TLS handshake together.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of one write to a server. Nothing else ends an upload to a server that has answered and stopped reading: its
/// guest may have continued long ago.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// Concurrent name lookups of one component. The system's resolver occupies a thread for each, and cannot be cancelled.
const LOOKUPS: usize = 16;

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot resolve the name: {0}")]
    Resolve(#[source] io::Error),
    #[error("timed out while resolving the name")]
    ResolveTimeout,
    #[error("the connection limit is reached")]
    Full,
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("timed out while connecting")]
    ConnectTimeout,
    #[error("TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
}

/// Opens connections, within a limit.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: Option<Arc<ClientConfig>>,
    sockets: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

impl Dialer {
    /// `https` requires `tls`. Each open connection holds a permit of `sockets`.
    pub(crate) fn new(tls: Option<Arc<ClientConfig>>, sockets: Arc<Semaphore>) -> Self {
        Self { tls, sockets, lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    async fn dial(self, to: Uri) -> Result<Socket, DialError> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let is_tls = to.scheme() == Some(&Scheme::HTTPS);
        let host = to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = to.port_u16().unwrap_or(default_port(is_tls));
        let socket = timeout_at(deadline, Arc::clone(&self.sockets).acquire_owned()).await;
        let permit = socket.ok().and_then(Result::ok).ok_or(DialError::Full)?;
        let addresses = timeout_at(deadline, self.addresses(host.clone(), port));
        let addresses = addresses.await.unwrap_or(Err(DialError::ResolveTimeout))?;
        let stream = connect(&addresses, deadline).await?;
        // Best effort: a socket without it works, too.
        let _ = stream.set_nodelay(true);
        let stream = match self.tls.filter(|_| is_tls) {
            None if is_tls => return Err(DialError::Tls(io::ErrorKind::Unsupported.into())),
            None => Either::Left(stream),
            Some(config) => {
                let handshake = timeout_at(deadline, handshake(config, host, stream));
                Either::Right(handshake.await.unwrap_or(Err(DialError::ConnectTimeout))?)
            }
        };
        Ok(Socket { stream, write_timeout: WRITE_TIMEOUT, stalled: None, _permit: permit })
    }

    async fn addresses(&self, host: String, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(|_| DialError::Full)?;
        let look_up = move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            // Held until the resolver is done, even after the request was dropped.
            drop(permit);
            found
        };
        let found = tokio::task::spawn_blocking(look_up).await.unwrap_or_else(|error| Err(error.into()));
        match found.map_err(DialError::Resolve)? {
            none if none.is_empty() => Err(DialError::Resolve(io::ErrorKind::NotFound.into())),
            addresses => Ok(addresses),
        }
    }
}

/// Tries the addresses in sequence; each gets its share of the remaining time.
async fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, DialError> {
    let mut last = DialError::ConnectTimeout;
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = DialError::Connect(error),
            Err(_) => last = DialError::ConnectTimeout,
        }
    }
    Err(last)
}

async fn handshake(
    config: Arc<ClientConfig>,
    host: String,
    stream: TcpStream,
) -> Result<Box<TlsStream<TcpStream>>, DialError> {
    let name = ServerName::try_from(host).map_err(|error| DialError::Tls(io::Error::other(error)))?;
    TlsConnector::from(config).connect(name, stream).await.map(Box::new).map_err(DialError::Tls)
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Socket>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let dial = self.clone().dial(to);
        Box::pin(async { Ok(TokioIo::new(dial.await?)) })
    }
}

/// A connection with its permit and a write timeout.
pub(crate) struct Socket {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    /// How long one write may take.
    write_timeout: Duration,
    /// Runs while a write is pending.
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Socket {
    /// The result of a write, or an error once it has been pending for too long.
    fn in_time(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write_timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        match &self.stream {
            Either::Right(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_write_to_a_server_that_stopped_reading_times_out() {
        // given a server that accepts and never reads
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let sockets = Arc::new(Semaphore::new(1));
        let mut socket = Dialer::new(None, Arc::clone(&sockets)).dial(to).await.unwrap();
        let _accepted = listener.accept().await.unwrap();
        // when a client with a short timeout writes forever
        socket.write_timeout = Duration::from_millis(20);
        let error = loop {
            if let Err(error) = socket.write_all(&[0; 65_536]).await {
                break error;
            }
        };
        // then the write fails
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(socket);
        assert_eq!(sockets.available_permits(), 1);
    }
}
