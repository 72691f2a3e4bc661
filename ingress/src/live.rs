//! What can change while the gateway serves: read anew for each connection and each request, and exchanged whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use h8s_nats::RequesterConfig;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::access_log::LineWriter;
use crate::admission::Admission;
use crate::metrics::Metrics;
use crate::tls::{self, TlsError};
use crate::workers::Workers;
use crate::{AccessLog, Config, Limits, TrustedProxies, Upstream, WebSocketConfig};

/// By what connections and requests are judged and served. Connections take over limits, trusted proxies and the
/// certificate when they come; requests the rest when they come.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) admission: Admission,
    /// Publish, wait for nobody, answer 200.
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

/// Why a running ingress goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotApplied {
    /// The certificate or its key cannot be used.
    #[error("cannot serve TLS: {0}")]
    Tls(#[from] TlsError),
    /// TLS is there or not for as long as the listeners are.
    #[error("TLS cannot be turned on or off while serving: restart for that")]
    TlsChoice,
}

/// A running ingress, for whoever has something new to tell it. Clones speak to the same one.
#[derive(Clone)]
pub struct Live<U> {
    policy: Arc<ArcSwap<Policy>>,
    /// What it was told last.
    config: Arc<ArcSwap<Config>>,
    workers: Workers<U>,
    pub(crate) connection_permits: Arc<Semaphore>,
    pub(crate) websocket_slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    pub(crate) access_lines: LineWriter,
}

impl<U: Upstream> Live<U> {
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

    /// As it is now. Whoever holds it goes on with it.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Serves by this from now on. Connections that are open keep what they began with, as [`Policy`] says, and
    /// exchanges under way end as they began. Where to listen and the grace period are for starts, and not read.
    ///
    /// Must be called within a runtime.
    ///
    /// # Errors
    /// See [`NotApplied`]. Nothing has changed then.
    pub fn apply(&self, config: Config) -> Result<(), NotApplied> {
        let before = self.config.load_full();
        if config.tls.is_some() != before.tls.is_some() {
            return Err(NotApplied::TlsChoice);
        }
        self.policy.store(Arc::new(Policy::of(&config)?));
        resize(&self.connection_permits, before.max_connections, config.max_connections);
        resize(&self.websocket_slots, before.websockets.max_open, config.websockets.max_open);
        self.workers.configure(&config);
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Reads the certificate and its key again. Nothing, where TLS is not served.
    ///
    /// # Errors
    /// They cannot be used: the ones before stay.
    pub fn renew_certificate(&self) -> Result<(), TlsError> {
        let Some(files) = &self.config.load().tls else { return Ok(()) };
        let tls = Some(tls::acceptor(files)?);
        self.policy.rcu(|policy| Policy { tls: tls.clone(), ..Policy::clone(policy) });
        Ok(())
    }
}

impl Config {
    /// What of it is the requester's affair.
    pub(crate) fn requester(&self) -> RequesterConfig {
        RequesterConfig::default()
            .request_timeout(self.request_timeout)
            .wait_for_responder(self.wait_for_responder)
            .max_message_bytes(self.websockets.max_message_bytes)
            .reopen_timeout(self.websockets.reopen_timeout)
    }
}

/// Fewer takes hold as those who have a permit leave: nobody new is let in meanwhile, save those whose turn it was
/// already.
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
