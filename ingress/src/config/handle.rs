//! The configuration that can change while the gateway serves. It is replaced as a whole; each connection and request
//! reads it once.

use std::sync::Arc;

use arc_swap::ArcSwap;
use h8s_nats::RequesterConfig;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::http::admission::Admission;
use crate::observability::access_log::LineWriter;
use crate::observability::metrics::Metrics;
use crate::server::tls::{self, TlsError};
use crate::server::workers::Workers;
use crate::{AccessLog, Config, Limits, TrustedProxies, Upstream, WebSocketConfig};

/// Settings of connections and requests. A connection keeps the limits, trusted proxies and certificate that were
/// current when it was accepted; a request reads the rest when it starts.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) admission: Admission,
    /// Publish without waiting for a response, and answer 200.
    pub(crate) publish_only: bool,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) limits: Arc<Limits>,
    pub(crate) websockets: WebSocketConfig,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) access_log: AccessLog,
}

impl Policy {
    fn of(config: &Config) -> Result<Self, TlsError> {
        let admission = Admission {
            host_filters: config.host_filters.clone(),
            authorization_key: config.authorization_key.clone(),
            track_interest: config.track_interest,
            max_body_bytes: config.max_body_bytes,
        };
        Ok(Self {
            admission,
            publish_only: config.publish_only,
            trusted_proxies: config.trusted_proxies.clone(),
            limits: Arc::new(config.limits.clone()),
            websockets: config.websockets.clone(),
            tls: config.tls.as_ref().map(tls::acceptor).transpose()?,
            access_log: config.access_log,
        })
    }
}

/// Why a new configuration was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The certificate or its key is unusable.
    #[error("cannot serve TLS: {0}")]
    Tls(#[from] TlsError),
    /// TLS cannot be turned on or off while the listeners are open.
    #[error("TLS cannot be turned on or off while serving; restart to change it")]
    TlsChoice,
}

/// Changes the configuration of a running gateway. Clones refer to the same gateway.
#[derive(Clone)]
pub struct ReloadHandle<U> {
    policy: Arc<ArcSwap<Policy>>,
    /// The configuration applied last.
    config: Arc<ArcSwap<Config>>,
    workers: Workers<U>,
    pub(crate) connection_permits: Arc<Semaphore>,
    pub(crate) websocket_slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    pub(crate) access_lines: LineWriter,
}

impl<U: Upstream> ReloadHandle<U> {
    pub(crate) fn new(config: Config, workers: Workers<U>) -> Result<Self, TlsError> {
        let metrics = Metrics::new();
        Ok(Self {
            policy: Arc::new(ArcSwap::from_pointee(Policy::of(&config)?)),
            connection_permits: Arc::new(Semaphore::new(config.max_connections as usize)),
            websocket_slots: Arc::new(Semaphore::new(config.websockets.max_open as usize)),
            config: Arc::new(ArcSwap::from_pointee(config)),
            workers,
            access_lines: LineWriter::with(metrics.lost_lines.clone()),
            metrics: Arc::new(metrics),
        })
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The current policy.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Applies `config` to new connections and requests. Open connections keep the limits, trusted proxies and
    /// certificate they started with. Listen addresses and the grace period are fixed at start and ignored here.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The certificate is unusable, or TLS would be turned on or off; see [`ApplyError`]. Nothing has changed then.
    pub fn apply(&self, config: Config) -> Result<(), ApplyError> {
        let before = self.config.load_full();
        if config.tls.is_some() != before.tls.is_some() {
            return Err(ApplyError::TlsChoice);
        }
        self.policy.store(Arc::new(Policy::of(&config)?));
        resize(&self.connection_permits, before.max_connections, config.max_connections);
        resize(&self.websocket_slots, before.websockets.max_open, config.websockets.max_open);
        self.workers.configure(&config);
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// ReloadResult the certificate and its key. Does nothing without TLS.
    ///
    /// # Errors
    /// They are unusable; the previous ones stay in use.
    pub fn renew_certificate(&self) -> Result<(), TlsError> {
        let Some(files) = &self.config.load().tls else { return Ok(()) };
        let tls = Some(tls::acceptor(files)?);
        self.policy.rcu(|policy| Policy { tls: tls.clone(), ..Policy::clone(policy) });
        Ok(())
    }
}

impl Config {
    /// The settings of the requester.
    pub(crate) fn requester(&self) -> RequesterConfig {
        RequesterConfig::default()
            .request_timeout(self.request_timeout)
            .wait_for_responder(self.wait_for_responder)
            .max_message_bytes(self.websockets.max_message_bytes)
            .reopen_timeout(self.websockets.reopen_timeout)
    }
}

/// A smaller limit takes effect as permits are returned: no new permit is given meanwhile, except to waiters already
/// ahead in the queue.
fn resize(permits: &Arc<Semaphore>, before: u32, now: u32) {
    match now.checked_sub(before) {
        Some(more) => permits.add_permits(more as usize),
        None => {
            let (permits, fewer) = (permits.clone(), before - now);
            tokio::spawn(async move {
                if let Ok(taken) = permits.acquire_many_owned(fewer).await {
                    taken.forget();
                }
            });
        }
    }
}
