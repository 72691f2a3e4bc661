//! A complete gateway: built, then run until shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use h8s_nats::{Bus, ConnectError, ConnectOptions, Requester, RequesterConfig, StartError};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::config::handle::ReloadHandle;
use crate::http::service::GatewayService;
use crate::protection::per_address::Addresses;
use crate::server::accept::{Server, accept};
use crate::server::admin::Admin;
use crate::server::tls::TlsError;
use crate::server::workers::{Thread, Worker, Workers};
use crate::shutdown::{Phase, Shutdown};
use crate::websocket::WebSockets;
use crate::{Config, Upstream};

/// How long connections may take to close once the grace period is over.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The port is in use, or the address is not local.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The listen address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A worker thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The certificate or its key is unusable; see [`TlsError`].
    #[error("cannot serve TLS: {0}")]
    Tls(#[source] TlsError),
    /// NATS is unreachable, or refused the connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// NATS refused a subscription that the gateway needs.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A gateway with bound sockets: clients can connect already, and are served once it runs.
pub struct App<U> {
    listeners: Vec<(SocketAddr, TcpListener)>,
    admin: Option<(SocketAddr, TcpListener)>,
    workers: Workers<U>,
    /// The workers' threads. Empty on the caller's runtime.
    threads: Vec<Thread>,
    grace_period: Duration,
    reload_handle: ReloadHandle<U>,
}

impl Config {
    /// Connects to NATS once for each of [`Config::threads`], and builds the gateway on these threads.
    ///
    /// # Errors
    /// A listener, a thread, TLS or NATS is unavailable; see [`BuildError`].
    pub async fn build(self, nats: &ConnectOptions) -> Result<App<Requester>, BuildError> {
        let Some(count) = self.threads else {
            let requester = connect(nats.clone(), self.requester()).await?;
            return self.build_on(requester).await;
        };
        let threads = (0..count.get()).map(|_| Thread::start()).collect::<Result<Vec<_>, _>>();
        let threads = threads.map_err(BuildError::Thread)?;
        let connects = threads.iter().map(|thread| thread.connect(connect(nats.clone(), self.requester())));
        let workers = futures_util::future::try_join_all(connects).await?;
        self.build_with(Workers::new(workers), threads).await
    }

    /// Builds the gateway on an existing upstream and serves on the current runtime. Settings that concern responders
    /// belong to the upstream and are ignored here, as is [`Config::threads`].
    ///
    /// # Errors
    /// A listener is unavailable, or TLS is unusable; see [`BuildError`].
    pub async fn build_on<U: Upstream>(self, upstream: U) -> Result<App<U>, BuildError> {
        let worker = Worker::on(Handle::current(), upstream);
        self.build_with(Workers::new(vec![worker]), Vec::new()).await
    }

    async fn build_with<U: Upstream>(
        self,
        workers: Workers<U>,
        threads: Vec<Thread>,
    ) -> Result<App<U>, BuildError> {
        let grace_period = self.grace_period;
        let (listen, admin_listen) = (self.listen.clone(), self.admin_listen);
        let reload_handle = ReloadHandle::new(self, workers.clone()).map_err(BuildError::Tls)?;
        let mut listeners = Vec::new();
        for address in listen {
            listeners.push(bind(address).await?);
        }
        let admin = match admin_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(App { listeners, admin, workers, threads, grace_period, reload_handle })
    }
}

async fn connect(nats: ConnectOptions, config: RequesterConfig) -> Result<Requester, BuildError> {
    let link = Bus::connect(nats).await?;
    Ok(Requester::start(link, config).await?)
}

async fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), BuildError> {
    let listen = |source| BuildError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    Ok((listener.local_addr().map_err(listen)?, listener))
}

impl<U: Upstream> App<U> {
    /// Client addresses in the order of [`Config::listen`], with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Address of the admin endpoints.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// A handle that changes the configuration while the gateway runs.
    pub fn reload_handle(&self) -> ReloadHandle<U> {
        self.reload_handle.clone()
    }

    /// Serves until `shutdown`, then drains: accepts no more connections and lets exchanges in flight end within the
    /// grace period. Returns whether all of them ended by themselves.
    ///
    /// # Cancel safety
    /// Dropping the future stops accepting but leaves connections in an undefined state: use `shutdown`.
    pub async fn run(self, shutdown: Shutdown) -> Drained {
        let servers: Arc<[_]> = self.servers(&shutdown).into();
        let Self { listeners, admin, workers, threads, grace_period, reload_handle } = self;
        let metrics = reload_handle.metrics();
        let mut admins = JoinSet::new();
        if let Some((_, listener)) = admin {
            let (workers, metrics) = (workers.clone(), metrics.clone());
            admins.spawn(Admin { workers, metrics, shutdown: shutdown.watch() }.accept(listener));
        }
        let mut accepting = JoinSet::new();
        for (_, listener) in listeners {
            let permits = reload_handle.connection_permits.clone();
            accepting.spawn(accept(listener, servers.clone(), permits, metrics.clone(), shutdown.watch()));
        }
        accepting.join_all().await;
        let drained = drain(&workers, &shutdown, grace_period).await;
        drop(threads);
        // The thread that writes the last lines does not outlive the program.
        let access_lines = reload_handle.access_lines.clone();
        let _ = tokio::task::spawn_blocking(move || access_lines.flush()).await;
        drained
    }

    /// One server per worker.
    fn servers(&self, shutdown: &Shutdown) -> Vec<Server<U>> {
        let addresses = Addresses::default();
        let server = |worker: &Worker<U>| {
            let (reload_handle, metrics) = (self.reload_handle.clone(), self.reload_handle.metrics().clone());
            let (upstream, connections) = (worker.upstream.clone(), worker.connections.clone());
            let websockets = WebSockets::new(
                reload_handle.websocket_slots.clone(),
                self.grace_period,
                connections.clone(),
                shutdown.watch(),
                metrics.clone(),
            );
            Server {
                service: Arc::new(GatewayService {
                    upstream,
                    reload_handle,
                    websockets: Arc::new(websockets),
                }),
                metrics,
                addresses: addresses.clone(),
                connections,
                runtime: worker.runtime.clone(),
                shutdown: shutdown.watch(),
            }
        };
        self.workers.iter().map(server).collect()
    }
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every exchange ended by itself.
    Whole,
    /// Some were cut off at the end of the grace period, or by a second signal.
    Cut,
}

async fn drain<U: Upstream>(workers: &Workers<U>, shutdown: &Shutdown, grace: Duration) -> Drained {
    let until = tokio::time::Instant::now() + grace;
    let mut cut = shutdown.watch();
    tracing::info!(connections = workers.connections(), ?grace, "draining");
    tokio::select! {
        biased;
        () = cut.reached(Phase::Cut) => {}
        () = workers.idle() => {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            return tokio::select! {
                biased;
                () = cut.reached(Phase::Cut) => Drained::Cut,
                whole = workers.drain(left) => if whole { Drained::Whole } else { Drained::Cut },
            };
        }
        () = tokio::time::sleep_until(until) => {}
    }
    tracing::warn!(
        connections = workers.connections(),
        "grace period over; closing the remaining connections"
    );
    shutdown.cut();
    if tokio::time::timeout(CUT_TIMEOUT, workers.idle()).await.is_err() {
        tracing::warn!(connections = workers.connections(), "some connections did not close in time");
    }
    workers.drain(Duration::ZERO).await;
    Drained::Cut
}
