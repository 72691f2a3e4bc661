//! One backend: its connections, their limits, and whether it can be reached.
//!
//! [`dial`] opens a connection to the [`url`], with [`alpn`] over TLS, unless [`health`] has paused dialling. A request
//! takes an [`http1`] connection from the [`pool`], driven through the [`coalescing_waker`], or a shared [`http2`] one.
//! Both send its body as an [`upload`].

mod alpn;
mod coalescing_waker;
mod dial;
mod health;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod pool;
pub(crate) mod upload;
mod url;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use h8s_nats::Refused;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use alpn::{AlpnConfigs, AlpnOffer};
pub(crate) use dial::Transport;
use dial::{DialError, Dialer, negotiated_http2};
use h8s_settings::tls::{RootsError, roots};
use health::{Health, HealthChange};
use http1::Http1;
use http2::{Http2, SharedConnections};
use pool::Pool;
pub use url::{BackendUrl, BackendUrlError};

/// How long an exchange may wait for a permit. QueuePlace smooths bursts; under lasting load it only adds delay, and the
/// gateway can try other responders.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// The HTTP version of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// In cleartext HTTP/1.1, except HTTP/2 for gRPC, which requires it; over TLS negotiated.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, in cleartext with prior knowledge.
    Http2,
}

/// Configuration of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendConfig {
    /// Its address.
    pub url: BackendUrl,
    /// PEM file of its root certificates; the system's if `None`.
    pub ca: Option<PathBuf>,
    /// Its HTTP version.
    pub protocol: Protocol,
    /// Time to open a connection, including TLS.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept. Zero: not at all.
    pub keep_alive: Duration,
    /// The longest silence during an exchange over HTTP/1.1.
    pub idle_timeout: Duration,
    /// Concurrent exchanges, each of which is a connection over HTTP/1.1. The same number more wait for up to a second.
    pub max_connections: usize,
    /// Concurrent WebSockets.
    pub max_websockets: usize,
    /// The largest message of a WebSocket, in bytes.
    pub max_message_bytes: usize,
}

/// An unusable backend configuration.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No root certificates.
    #[error("--backend-ca: {0}")]
    Roots(#[from] RootsError),
    /// A host name that no certificate can contain.
    #[error("--backend-url: {0:?} is not a valid name for a certificate")]
    Name(String),
}

/// A backend in use.
pub(crate) struct Backend {
    config: BackendConfig,
    dialer: Dialer,
    health: Health,
    /// Idle HTTP/1.1 connections.
    pub(crate) pool: Arc<Pool>,
    /// HTTP/2 connections.
    shared: SharedConnections,
    /// Held by the exchange that negotiates the protocol over TLS.
    negotiation: tokio::sync::Mutex<()>,
    /// The protocol that TLS negotiated last: [`UNKNOWN`], [`HTTP1`] or [`HTTP2`].
    negotiated: AtomicU8,
    exchanges: Arc<Semaphore>,
    waiting: AtomicUsize,
    websockets: Arc<Semaphore>,
}

/// No protocol was negotiated yet.
const UNKNOWN: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

/// A connection that can take a request.
pub(crate) enum BackendConnection {
    Http1(Http1),
    Http2(Http2),
}

impl Backend {
    pub(crate) fn new(config: BackendConfig) -> Result<Self, BackendError> {
        let configs = match (config.url.is_tls(), &config.ca) {
            (false, None) => None,
            // An unusable file is an error in any case.
            (_, file) => Some(AlpnConfigs::new(roots(file.as_deref(), "--backend-ca")?)),
        };
        let dialer = Dialer::new(&config.url, configs, config.connect_timeout)
            .map_err(|_| BackendError::Name(config.url.host().to_owned()))?;
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Ok(Self {
            dialer,
            health: Health::default(),
            pool: Pool::new(config.keep_alive),
            shared: SharedConnections::default(),
            negotiation: tokio::sync::Mutex::default(),
            negotiated: AtomicU8::new(UNKNOWN),
            exchanges: semaphore(config.max_connections),
            waiting: AtomicUsize::new(0),
            websockets: semaphore(config.max_websockets),
            config,
        })
    }

    pub(crate) fn url(&self) -> &BackendUrl {
        &self.config.url
    }

    pub(crate) fn config(&self) -> &BackendConfig {
        &self.config
    }

    pub(crate) fn max_message_bytes(&self) -> usize {
        self.config.max_message_bytes
    }

    /// Dials once, so that the log shows whether the backend can be reached.
    pub(crate) async fn probe(&self) {
        let _ = self.dial(self.default_offer()).await;
    }

    /// A permit for one more exchange. Waits for up to a second.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, Refused> {
        if let Ok(permit) = Arc::clone(&self.exchanges).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = QueuePlace::enter(&self.waiting, self.config.max_connections)?;
        let turn = Arc::clone(&self.exchanges).acquire_owned();
        match timeout_at(Instant::now() + QUEUE_TIMEOUT, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refused::Busy),
        }
    }

    /// A permit for one more WebSocket. `None`: the limit is reached.
    pub(crate) fn websocket_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.websockets).try_acquire_owned().ok()
    }

    /// The protocols to offer for a request, before it has a connection.
    fn offer(&self, is_grpc: bool) -> AlpnOffer {
        match self.config.protocol {
            Protocol::Http1 => AlpnOffer::Http1,
            Protocol::Http2 => AlpnOffer::Http2,
            Protocol::Auto if is_grpc => AlpnOffer::Http2,
            Protocol::Auto => self.default_offer(),
        }
    }

    fn default_offer(&self) -> AlpnOffer {
        match (self.config.protocol, self.negotiated.load(Ordering::Relaxed)) {
            (Protocol::Http2, _) | (Protocol::Auto, HTTP2) => AlpnOffer::Http2,
            (Protocol::Auto, UNKNOWN) if self.config.url.is_tls() => AlpnOffer::Either,
            _ => AlpnOffer::Http1,
        }
    }

    /// A connection that can take a request, and whether it was used before.
    pub(crate) async fn connection(&self, is_grpc: bool) -> Result<(BackendConnection, bool), Refused> {
        match self.offer(is_grpc) {
            AlpnOffer::Http1 => self.exclusive().await,
            AlpnOffer::Http2 => self.shared(AlpnOffer::Http2).await,
            AlpnOffer::Either => self.negotiate(is_grpc).await,
        }
    }

    /// HTTP/1.1: one exchange at a time on a connection.
    async fn exclusive(&self) -> Result<(BackendConnection, bool), Refused> {
        match self.pool.take().await {
            Some(connection) => Ok((BackendConnection::Http1(connection), true)),
            None => Ok((self.http1(self.dial_http1().await?).await?, false)),
        }
    }

    /// The protocol is unknown: one exchange negotiates it, the others wait.
    async fn negotiate(&self, is_grpc: bool) -> Result<(BackendConnection, bool), Refused> {
        let negotiation = self.negotiation.lock().await;
        match self.offer(is_grpc) {
            AlpnOffer::Either => self.shared(AlpnOffer::Either).await,
            AlpnOffer::Http1 => {
                drop(negotiation);
                self.exclusive().await
            }
            AlpnOffer::Http2 => {
                drop(negotiation);
                self.shared(AlpnOffer::Http2).await
            }
        }
    }

    /// HTTP/2: a connection with room for one more exchange, or a new one. One exchange dials at a time.
    async fn shared(&self, offer: AlpnOffer) -> Result<(BackendConnection, bool), Refused> {
        let mut permit = match self.shared.get().await {
            Ok(connection) => return Ok((BackendConnection::Http2(connection), true)),
            Err(permit) => permit,
        };
        let transport = self.dial(offer).await?;
        if negotiated_http2(&transport) == Some(false) {
            if offer == AlpnOffer::Http2 {
                return Err(self.incompatible(&DialError::NoHttp2));
            }
            self.negotiated.store(HTTP1, Ordering::Relaxed);
            return Ok((self.http1(transport).await?, false));
        }
        let handshake = timeout_at(Instant::now() + self.dialer.timeout(), Http2::handshake(transport));
        let connection = match handshake.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(self.incompatible(&DialError::Preface(error))),
            Err(_) => return Err(self.incompatible(&DialError::Timeout(self.dialer.timeout()))),
        };
        if offer == AlpnOffer::Either {
            self.negotiated.store(HTTP2, Ordering::Relaxed);
        }
        Ok((BackendConnection::Http2(permit.add(connection)), false))
    }

    async fn http1(&self, transport: Transport) -> Result<BackendConnection, Refused> {
        let connection = Http1::handshake(transport).await;
        connection
            .map(BackendConnection::Http1)
            .map_err(|error| self.incompatible(&DialError::Preface(error)))
    }

    /// A new connection for HTTP/1.1, within the connect timeout.
    pub(crate) async fn dial_http1(&self) -> Result<Transport, Refused> {
        self.dial(AlpnOffer::Http1).await
    }

    async fn dial(&self, offer: AlpnOffer) -> Result<Transport, Refused> {
        let Some(attempt) = self.health.attempt(Instant::now(), self.dialer.timeout()) else {
            return Err(Refused::Unreachable);
        };
        let backend = self.url();
        match self.dialer.dial(offer).await {
            Ok(transport) => {
                if attempt.succeeded() == HealthChange::Changed {
                    tracing::info!(%backend, "backend reachable");
                }
                Ok(transport)
            }
            // The client chose this protocol; the backend may support the other one. That is not an outage.
            Err(error @ DialError::Tls(_)) if offer != self.default_offer() => Err(self.incompatible(&error)),
            Err(error) => {
                // Another program may listen there next time.
                self.negotiated.store(UNKNOWN, Ordering::Relaxed);
                match attempt.failed(Instant::now()) {
                    HealthChange::Changed => tracing::warn!(%backend, cause = %error, "backend unreachable"),
                    HealthChange::Unchanged => {
                        tracing::debug!(%backend, cause = %error, "backend still unreachable")
                    }
                }
                Err(Refused::Unreachable)
            }
        }
    }

    /// The backend is reachable, but does not support the protocol of this exchange.
    fn incompatible(&self, error: &DialError) -> Refused {
        tracing::debug!(backend = %self.url(), cause = %error, "backend does not support the protocol of the request");
        Refused::Unreachable
    }
}

/// A place in the queue for a permit, until dropped.
struct QueuePlace<'a>(&'a AtomicUsize);

impl<'a> QueuePlace<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Result<Self, Refused> {
        let place = Self(waiting);
        // If the queue is full, dropping `place` reverts the count.
        if waiting.fetch_add(1, Ordering::Relaxed) >= most { Err(Refused::Busy) } else { Ok(place) }
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
