//! One backend: its connections, how many there may be, and whether it can be reached.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use h8s_nats::Refused;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::backend_url::BackendUrl;
use crate::dial::{DialError, Dialer, Offer, Transport};
use crate::health::{Health, News};
use crate::http1::Http1;
use crate::http2::{Current, Http2};
use crate::pool::Pool;
use crate::tls::{Roots, RootsError};

/// How long an exchange may wait for its turn. Waiting smooths bursts; under lasting load it only adds delay, and the
/// gateway has others to ask.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Which HTTP a backend is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// In cleartext HTTP/1.1, and HTTP/2 for gRPC, which knows no other; over TLS what is agreed upon.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; in cleartext without asking.
    Http2,
}

/// Everything about a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendConfig {
    /// Where it is.
    pub url: BackendUrl,
    /// PEM certificates that its own must lead to; the system's roots otherwise.
    pub ca: Option<PathBuf>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Until a new connection can take a request.
    pub connect_timeout: Duration,
    /// How long a connection that has nothing to do is kept. Zero: not at all.
    pub keep_alive: Duration,
    /// How long nothing may move in the midst of an exchange over HTTP/1.1.
    pub idle_timeout: Duration,
    /// Exchanges at once, each of which is a connection over HTTP/1.1. As many more wait for up to a second.
    pub max_connections: usize,
    /// WebSockets at once.
    pub max_websockets: usize,
    /// The largest message of a WebSocket, in bytes.
    pub max_message_bytes: usize,
}

/// Why a backend cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No roots for its certificate.
    #[error("--backend-ca: {0}")]
    Roots(#[from] RootsError),
    /// A name that no certificate can have.
    #[error("--backend-url: {0:?} is no name that a certificate could be for")]
    Name(String),
}

/// See the module.
pub(crate) struct Backend {
    config: BackendConfig,
    dialer: Dialer,
    health: Health,
    /// Over HTTP/1.1.
    pub(crate) pool: Arc<Pool>,
    /// Over HTTP/2.
    current: Current,
    /// Held by whoever finds out what TLS agrees upon.
    finding: tokio::sync::Mutex<()>,
    /// What TLS agreed upon last, as `Agreed`.
    agreed: AtomicU8,
    exchanges: Arc<Semaphore>,
    waiting: AtomicUsize,
    websockets: Arc<Semaphore>,
}

/// What is known of what a backend speaks over TLS.
const UNKNOWN: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

/// A way to a backend, in the protocol that was agreed upon.
pub(crate) enum Way {
    Http1(Http1),
    Http2(Http2),
}

impl Backend {
    pub(crate) fn new(config: BackendConfig) -> Result<Self, BackendError> {
        let roots = match (config.url.is_tls(), &config.ca) {
            (false, None) => None,
            // A file that is of no use is a mistake in any case.
            (_, file) => Some(Roots::load(file.as_deref())?),
        };
        let dialer = Dialer::new(&config.url, roots, config.connect_timeout)
            .map_err(|_| BackendError::Name(config.url.host().to_owned()))?;
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Ok(Self {
            dialer,
            health: Health::default(),
            pool: Pool::new(config.keep_alive),
            current: Current::default(),
            finding: tokio::sync::Mutex::default(),
            agreed: AtomicU8::new(UNKNOWN),
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

    /// Looks whether anybody answers there, for the log. Costs a connection.
    pub(crate) async fn probe(&self) {
        let _ = self.dial(self.usual_offer()).await;
    }

    /// A place for one more exchange, now or soon.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, Refused> {
        if let Ok(permit) = Arc::clone(&self.exchanges).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Waiting::queue_up(&self.waiting, self.config.max_connections)?;
        let turn = Arc::clone(&self.exchanges).acquire_owned();
        match timeout_at(Instant::now() + LONGEST_WAIT, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refused::Busy),
        }
    }

    /// A place for one more WebSocket. `None`: there are as many as there may be.
    pub(crate) fn websocket_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.websockets).try_acquire_owned().ok()
    }

    /// Which protocol a request takes, as far as that is known before there is a connection.
    fn offer(&self, is_grpc: bool) -> Offer {
        match self.config.protocol {
            Protocol::Http1 => Offer::Http1,
            Protocol::Http2 => Offer::Http2,
            Protocol::Auto if is_grpc => Offer::Http2,
            Protocol::Auto => self.usual_offer(),
        }
    }

    fn usual_offer(&self) -> Offer {
        match (self.config.protocol, self.agreed.load(Ordering::Relaxed)) {
            (Protocol::Http2, _) | (Protocol::Auto, HTTP2) => Offer::Http2,
            (Protocol::Auto, UNKNOWN) if self.config.url.is_tls() => Offer::Either,
            _ => Offer::Http1,
        }
    }

    /// A connection that can take a request, and whether it has had others.
    pub(crate) async fn way(&self, is_grpc: bool) -> Result<(Way, bool), Refused> {
        match self.offer(is_grpc) {
            Offer::Http1 => self.own().await,
            Offer::Http2 => self.shared(Offer::Http2).await,
            Offer::Either => self.first(is_grpc).await,
        }
    }

    /// Over HTTP/1.1: each exchange has a connection to itself.
    async fn own(&self) -> Result<(Way, bool), Refused> {
        match self.pool.take().await {
            Some(connection) => Ok((Way::Http1(connection), true)),
            None => Ok((self.http1(self.dial_http1().await?).await?, false)),
        }
    }

    /// What is to be agreed upon is found out by one; the others wait for that.
    async fn first(&self, is_grpc: bool) -> Result<(Way, bool), Refused> {
        let finding = self.finding.lock().await;
        match self.offer(is_grpc) {
            Offer::Either => self.shared(Offer::Either).await,
            Offer::Http1 => {
                drop(finding);
                self.own().await
            }
            Offer::Http2 => {
                drop(finding);
                self.shared(Offer::Http2).await
            }
        }
    }

    /// Over HTTP/2: a connection with room for one more; one at a time dials where there is none.
    async fn shared(&self, offer: Offer) -> Result<(Way, bool), Refused> {
        let mut place = match self.current.get().await {
            Ok(connection) => return Ok((Way::Http2(connection), true)),
            Err(place) => place,
        };
        let transport = self.dial(offer).await?;
        if transport.is_http2() == Some(false) {
            if offer == Offer::Http2 {
                return Err(self.disagreed(&DialError::NoHttp2));
            }
            self.agreed.store(HTTP1, Ordering::Relaxed);
            return Ok((self.http1(transport).await?, false));
        }
        let handshake = timeout_at(Instant::now() + self.dialer.timeout(), Http2::over(transport));
        let connection = match handshake.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(self.disagreed(&DialError::Preface(error))),
            Err(_) => return Err(self.disagreed(&DialError::Timeout(self.dialer.timeout()))),
        };
        if offer == Offer::Either {
            self.agreed.store(HTTP2, Ordering::Relaxed);
        }
        Ok((Way::Http2(place.add(connection)), false))
    }

    async fn http1(&self, transport: Transport) -> Result<Way, Refused> {
        let connection = Http1::over(transport).await;
        connection.map(Way::Http1).map_err(|error| self.disagreed(&DialError::Preface(error)))
    }

    /// A connection of its own, for HTTP/1.1, within the connect timeout.
    pub(crate) async fn dial_http1(&self) -> Result<Transport, Refused> {
        self.dial(Offer::Http1).await
    }

    async fn dial(&self, offer: Offer) -> Result<Transport, Refused> {
        let Some(attempt) = self.health.attempt(Instant::now(), self.dialer.timeout()) else {
            return Err(Refused::Unreachable);
        };
        let backend = self.url();
        match self.dialer.dial(offer).await {
            Ok(transport) => {
                if attempt.reached() == News::Changed {
                    tracing::info!(%backend, "a backend is back");
                }
                Ok(transport)
            }
            // It may speak another protocol than this one, which clients can choose: that is no outage.
            Err(error @ DialError::Tls(_)) if offer != self.usual_offer() => Err(self.disagreed(&error)),
            Err(error) => {
                // It may be another program next time.
                self.agreed.store(UNKNOWN, Ordering::Relaxed);
                match attempt.missed(Instant::now()) {
                    News::Changed => tracing::warn!(%backend, cause = %error, "a backend cannot be reached"),
                    News::None => {
                        tracing::debug!(%backend, cause = %error, "a backend still cannot be reached")
                    }
                }
                Err(Refused::Unreachable)
            }
        }
    }

    /// Somebody is there, and does not speak as it would have to for this exchange.
    fn disagreed(&self, error: &DialError) -> Refused {
        tracing::debug!(backend = %self.url(), cause = %error, "a backend cannot be spoken to in this protocol");
        Refused::Unreachable
    }
}

/// A place in the queue, left when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn queue_up(waiting: &'a AtomicUsize, most: usize) -> Result<Self, Refused> {
        let place = Self(waiting);
        // `place` is dropped, and so counted off again, where the queue turns out to be full.
        if waiting.fetch_add(1, Ordering::Relaxed) >= most { Err(Refused::Busy) } else { Ok(place) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
