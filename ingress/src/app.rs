//! A whole ingress: built, then run until its shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use h8s_nats::{ConnectError, Link, NatsConfig, Requester, StartError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::addresses::Addresses;
use crate::admin::Admin;
use crate::exchange::Edge;
use crate::live::Live;
use crate::server::Server;
use crate::shutdown::{Phase, Shutdown};
use crate::tls::TlsError;
use crate::websocket::WebSockets;
use crate::{Config, Upstream};

/// After the grace period everything is told to end; this is how long being told may take.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why an ingress cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which of the addresses.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// See [`TlsError`].
    #[error("cannot serve TLS: {0}")]
    Tls(#[source] TlsError),
    /// NATS is not there, or does not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// NATS is there, but does not let us listen to what we need.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// An ingress whose sockets are bound: clients may connect already, and are served once it runs.
pub struct App<U> {
    listeners: Vec<(SocketAddr, TcpListener)>,
    admin: Option<(SocketAddr, TcpListener)>,
    upstream: U,
    grace_period: Duration,
    live: Live<U>,
}

impl Config {
    /// Connects to NATS, and builds on that.
    ///
    /// # Errors
    /// See [`BuildError`]; each says what it could not have in one sentence.
    pub async fn build(self, nats: &NatsConfig) -> Result<App<Requester>, BuildError> {
        let link = Link::connect(nats).await?;
        let requester = Requester::start(link, self.requester()).await?;
        self.build_on(requester).await
    }

    /// Builds on an upstream that is there already. What this `Config` says about responders, and not about
    /// clients, is the upstream's own affair, and not read.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build_on<U: Upstream>(self, upstream: U) -> Result<App<U>, BuildError> {
        let grace_period = self.grace_period;
        let (listen, admin_listen) = (self.listen.clone(), self.admin_listen);
        let live = Live::new(self, upstream.clone()).map_err(BuildError::Tls)?;
        let mut listeners = Vec::new();
        for address in listen {
            listeners.push(bind(address).await?);
        }
        let admin = match admin_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(App { listeners, admin, upstream, grace_period, live })
    }
}

async fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), BuildError> {
    let listen = |source| BuildError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    Ok((listener.local_addr().map_err(listen)?, listener))
}

impl<U: Upstream> App<U> {
    /// Where clients connect, in the order of [`Config::listen`], with the ports the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// For telling it something new while it runs.
    pub fn live(&self) -> Live<U> {
        self.live.clone()
    }

    /// Serves until `shutdown`, then drains: no more connections, exchanges in flight end, within the grace period.
    /// Says whether all of them did.
    ///
    /// # Cancel safety
    /// Dropping it stops accepting, but leaves connections to themselves: use `shutdown`.
    pub async fn run(self, shutdown: Shutdown) -> Drained {
        let connections = TaskTracker::new();
        let live = self.live;
        let metrics = live.metrics().clone();
        let access_lines = live.access_lines.clone();
        let websockets = WebSockets::new(
            live.websocket_slots.clone(),
            self.grace_period,
            connections.clone(),
            shutdown.watch(),
            metrics.clone(),
        );
        let upstream = self.upstream;
        let server = Server {
            edge: Arc::new(Edge { upstream: upstream.clone(), live, websockets: Arc::new(websockets) }),
            metrics: metrics.clone(),
            addresses: Addresses::default(),
            connections: connections.clone(),
            shutdown: shutdown.watch(),
        };
        let mut admin = JoinSet::new();
        if let Some((_, listener)) = self.admin {
            let page = Admin { upstream: upstream.clone(), metrics, shutdown: shutdown.watch() };
            admin.spawn(page.accept(listener));
        }
        let mut accepting = JoinSet::new();
        for (_, listener) in self.listeners {
            accepting.spawn(server.clone().accept(listener));
        }
        accepting.join_all().await;
        let drained = drain(&connections, &shutdown, &upstream, self.grace_period).await;
        // The last lines are written by a thread, which would not outlive the program.
        let _ = tokio::task::spawn_blocking(move || access_lines.flush()).await;
        drained
    }
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every exchange ended by itself.
    Whole,
    /// Some were cut off, at the end of the grace period or by a second signal.
    Cut,
}

async fn drain<U: Upstream>(
    connections: &TaskTracker,
    shutdown: &Shutdown,
    upstream: &U,
    grace: Duration,
) -> Drained {
    let until = tokio::time::Instant::now() + grace;
    let mut cut = shutdown.watch();
    connections.close();
    tracing::info!(connections = connections.len(), ?grace, "draining");
    tokio::select! {
        biased;
        () = cut.reached(Phase::Cut) => {}
        () = connections.wait() => {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            return tokio::select! {
                biased;
                () = cut.reached(Phase::Cut) => Drained::Cut,
                whole = upstream.drain(left) => if whole { Drained::Whole } else { Drained::Cut },
            };
        }
        () = tokio::time::sleep_until(until) => {}
    }
    tracing::warn!(connections = connections.len(), "cutting off what is still open");
    shutdown.cut();
    if tokio::time::timeout(CUT_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "some connections did not end");
    }
    upstream.drain(Duration::ZERO).await;
    Drained::Cut
}
