//! Dials a backend: TCP, and TLS if its URL is `https`.
//!
//! Dials the configured host and port only, never one from a request, a redirect or the environment (T13).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{InvalidDnsNameError, ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::alpn::{AlpnConfigs, AlpnOffer};
use super::url::BackendUrl;

/// TCP keep-alive: the idle time before the first probe, and the interval of the next ones. A backend whose machine is gone
/// is noticed within two minutes, independent of the other timeouts.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);
const TCP_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Why dialling failed. For the log only; clients do not see it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot resolve its name: {0}")]
    Resolve(#[source] io::Error),
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("no connection within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    #[error("it does not support HTTP/2")]
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
    configs: AlpnConfigs,
}

impl Dialer {
    /// `https` requires `configs`.
    pub(crate) fn new(
        url: &BackendUrl,
        configs: Option<AlpnConfigs>,
        timeout: Duration,
    ) -> Result<Self, InvalidDnsNameError> {
        let tls = match configs.filter(|_| url.is_tls()) {
            Some(configs) => Some(Tls { name: ServerName::try_from(url.host().to_owned())?, configs }),
            None => None,
        };
        Ok(Self { host: url.host().to_owned(), port: url.port(), timeout, tls })
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A connection within the connect timeout, including the TLS handshake.
    pub(crate) async fn dial(&self, offer: AlpnOffer) -> Result<Transport, DialError> {
        let deadline = Instant::now() + self.timeout;
        let dialled = timeout_at(deadline, async {
            let stream = self.connect(deadline).await?;
            match &self.tls {
                None => Ok(Either::Left(stream)),
                Some(tls) => tls.handshake(stream, offer).await,
            }
        });
        dialled.await.unwrap_or(Err(DialError::Timeout(self.timeout)))
    }

    /// Tries the addresses in sequence, each with its share of the remaining time.
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

/// Best effort: the connection works without these options, too.
fn keep_alive(stream: &TcpStream) {
    let keep_alive = TcpKeepalive::new().with_time(TCP_KEEP_ALIVE).with_interval(TCP_KEEP_ALIVE_INTERVAL);
    let set = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keep_alive));
    if let Err(error) = set {
        tracing::debug!(%error, "could not set options of a backend's socket");
    }
}

impl Tls {
    async fn handshake(&self, stream: TcpStream, offer: AlpnOffer) -> Result<Transport, DialError> {
        let connector = TlsConnector::from(Arc::clone(self.configs.config(offer)));
        let stream = connector.connect(self.name.clone(), stream).await.map_err(DialError::Tls)?;
        Ok(Either::Right(Box::new(stream)))
    }
}

/// The byte stream of a connection to a backend.
pub(crate) type Transport = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Whether TLS negotiated HTTP/2. `None` in cleartext, which negotiates nothing.
pub(crate) fn negotiated_http2(transport: &Transport) -> Option<bool> {
    match transport {
        Either::Left(_) => None,
        Either::Right(stream) => Some(stream.get_ref().1.alpn_protocol() == Some(b"h2")),
    }
}
