//! A whole ingress: built, then run until its shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use h8s_nats::{Bus, ConnectError, ConnectOptions, Requester, RequesterConfig, StartError};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::addresses::Addresses;
use crate::admin::Admin;
use crate::exchange::Edge;
use crate::live::Live;
use crate::server::{Server, accept};
use crate::shutdown::{Phase, Shutdown};
use crate::tls::TlsError;
use crate::websocket::WebSockets;
use crate::workers::{Thread, Worker, Workers};
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
    /// The system has no thread for us.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
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
    workers: Workers<U>,
    /// Of the workers, where they have their own.
    threads: Vec<Thread>,
    grace_period: Duration,
    live: Live<U>,
}

impl Config {
    /// Connects to NATS, and builds on that: once for each of [`Config::threads`], on threads of their own.
    ///
    /// # Errors
    /// See [`BuildError`]; each says what it could not have in one sentence.
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

    /// Builds on an upstream that is there already, and serves on the runtime that this is called on. What this `Config`
    /// says about responders, and not about clients, is the upstream's own affair, and not read; nor is
    /// [`Config::threads`].
    ///
    /// # Errors
    /// See [`BuildError`].
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
        let live = Live::new(self, workers.clone()).map_err(BuildError::Tls)?;
        let mut listeners = Vec::new();
        for address in listen {
            listeners.push(bind(address).await?);
        }
        let admin = match admin_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(App { listeners, admin, workers, threads, grace_period, live })
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
    /// Dropping it stops accepting, and ends connections or leaves them to themselves: use `shutdown`.
    pub async fn run(self, shutdown: Shutdown) -> Drained {
        let servers: Arc<[_]> = self.servers(&shutdown).into();
        let Self { listeners, admin, workers, threads, grace_period, live } = self;
        let metrics = live.metrics();
        let mut admins = JoinSet::new();
        if let Some((_, listener)) = admin {
            let (workers, metrics) = (workers.clone(), metrics.clone());
            admins.spawn(Admin { workers, metrics, shutdown: shutdown.watch() }.accept(listener));
        }
        let mut accepting = JoinSet::new();
        for (_, listener) in listeners {
            let permits = live.connection_permits.clone();
            accepting.spawn(accept(listener, servers.clone(), permits, metrics.clone(), shutdown.watch()));
        }
        accepting.join_all().await;
        let drained = drain(&workers, &shutdown, grace_period).await;
        drop(threads);
        // The last lines are written by a thread, which would not outlive the program.
        let access_lines = live.access_lines.clone();
        let _ = tokio::task::spawn_blocking(move || access_lines.flush()).await;
        drained
    }

    /// One for each worker.
    fn servers(&self, shutdown: &Shutdown) -> Vec<Server<U>> {
        let addresses = Addresses::default();
        let server = |worker: &Worker<U>| {
            let (live, metrics) = (self.live.clone(), self.live.metrics().clone());
            let (upstream, connections) = (worker.upstream.clone(), worker.connections.clone());
            let websockets = WebSockets::new(
                live.websocket_slots.clone(),
                self.grace_period,
                connections.clone(),
                shutdown.watch(),
                metrics.clone(),
            );
            Server {
                edge: Arc::new(Edge { upstream, live, websockets: Arc::new(websockets) }),
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
    /// Some were cut off, at the end of the grace period or by a second signal.
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
    tracing::warn!(connections = workers.connections(), "cutting off what is still open");
    shutdown.cut();
    if tokio::time::timeout(CUT_TIMEOUT, workers.idle()).await.is_err() {
        tracing::warn!(connections = workers.connections(), "some connections did not end");
    }
    workers.drain(Duration::ZERO).await;
    Drained::Cut
}
