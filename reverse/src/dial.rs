//! A connection to a backend: TCP, and TLS where its URL says so.
//!
//! Only the configured host and port are dialled, never what a request, a redirect or the environment names (T13).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::{InvalidDnsNameError, ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::backend_url::BackendUrl;
use crate::tls::Roots;

/// When the kernel asks whether a peer that says nothing is still there, and how often after that: a backend whose
/// machine is gone is noticed within two minutes, whatever the other timeouts are.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);
const TCP_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Which protocols to offer a backend over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Http1,
    Http2,
    Either,
}

/// Why there is no connection. For the log only: a client learns nothing of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its name cannot be resolved: {0}")]
    Resolve(#[source] io::Error),
    #[error("it cannot be connected to: {0}")]
    Connect(#[source] io::Error),
    #[error("it did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    #[error("it does not speak HTTP/2")]
    NoHttp2,
    #[error("HTTP/2 failed: {0}")]
    Preface(#[source] hyper::Error),
}

/// Dials one backend.
pub(crate) struct Dialer {
    host: String,
    port: u16,
    timeout: Duration,
    tls: Option<Tls>,
}

struct Tls {
    name: ServerName<'static>,
    roots: Roots,
}

impl Dialer {
    /// `https` needs roots.
    pub(crate) fn new(
        url: &BackendUrl,
        roots: Option<Roots>,
        timeout: Duration,
    ) -> Result<Self, InvalidDnsNameError> {
        let tls = match roots.filter(|_| url.is_tls()) {
            Some(roots) => Some(Tls { name: ServerName::try_from(url.host().to_owned())?, roots }),
            None => None,
        };
        Ok(Self { host: url.host().to_owned(), port: url.port(), timeout, tls })
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A connection, with TLS and the protocol agreed upon, within the connect timeout.
    pub(crate) async fn dial(&self, offer: Offer) -> Result<Transport, DialError> {
        let deadline = Instant::now() + self.timeout;
        let dialled = timeout_at(deadline, async {
            let stream = self.connect(deadline).await?;
            match &self.tls {
                None => Ok(Transport::Tcp(stream)),
                Some(tls) => tls.handshake(stream, offer).await,
            }
        });
        dialled.await.unwrap_or(Err(DialError::Timeout(self.timeout)))
    }

    /// One address after the other; each has its share of the time that is left.
    async fn connect(&self, deadline: Instant) -> Result<TcpStream, DialError> {
        let host = (self.host.as_str(), self.port);
        let addresses: Vec<_> = lookup_host(host).await.map_err(DialError::Resolve)?.collect();
        let mut last = DialError::Resolve(io::ErrorKind::NotFound.into());
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    keep_alive(&stream);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = DialError::Connect(error),
                Err(_) => last = DialError::Timeout(self.timeout),
            }
        }
        Err(last)
    }
}

/// As well as can be: a socket without these works, too.
fn keep_alive(stream: &TcpStream) {
    let keep_alive = TcpKeepalive::new().with_time(TCP_KEEP_ALIVE).with_interval(TCP_KEEP_ALIVE_INTERVAL);
    let set = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keep_alive));
    if let Err(error) = set {
        tracing::debug!(%error, "a backend's socket could not be set up");
    }
}

impl Tls {
    async fn handshake(&self, stream: TcpStream, offer: Offer) -> Result<Transport, DialError> {
        let connector = TlsConnector::from(Arc::clone(self.roots.config(offer)));
        let stream = connector.connect(self.name.clone(), stream).await.map_err(DialError::Tls)?;
        Ok(Transport::Tls(Box::new(stream)))
    }
}

/// Bytes to a backend and back.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// What TLS has agreed upon. In cleartext nothing is agreed upon.
    pub(crate) fn is_http2(&self) -> Option<bool> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(stream) => Some(stream.get_ref().1.alpn_protocol() == Some(b"h2")),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
