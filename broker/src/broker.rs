//! The broker as a whole: it listens, lets clients in up to a limit, and ends them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::client;
use crate::handshake::Info;
use crate::routes::Routes;
use crate::{Config, StartError};

/// How long to wait when the system has no file descriptor or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running broker. Dropping it ends it; [`shutdown`](Broker::shutdown) also waits for the end.
pub struct Broker {
    address: SocketAddr,
    tasks: TaskTracker,
    end: DropGuard,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) info: Info,
    pub(crate) routes: Arc<Routes>,
    pub(crate) next_client_id: AtomicU64,
}

impl Broker {
    /// Starts to listen. Clients can connect as soon as this returns. Must be called in a tokio runtime, whose
    /// tasks the connections become.
    ///
    /// # Errors
    /// The address cannot be had, or a limit of the configuration is out of range.
    pub fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let failed = |source| StartError::Listen { address: config.listen, source };
        let listener = listen(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            warn!(%address, "listening beyond this machine, without authentication");
        }
        info!(%address, "broker listens");

        let permits = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
        let info = Info::new(address, config.max_payload_bytes);
        let shared =
            Shared { config, info, routes: Arc::new(Routes::new()), next_client_id: AtomicU64::new(1) };
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn_on(accept(listener, Arc::new(shared), permits, tasks.clone(), end.clone()), &runtime);
        tasks.close();
        Ok(Self { address, tasks, end: end.drop_guard() })
    }

    /// Where it listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client on this machine connects to: `nats://127.0.0.1:4222`.
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("nats://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// Stops listening, writes what is queued to those who read it at once, closes every connection and waits
    /// until all tasks have ended: a second at most.
    pub async fn shutdown(self) {
        let Self { tasks, end, .. } = self;
        drop(end);
        tasks.wait().await;
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    end: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            refuse(&stream, address, &shared);
            continue;
        };
        // Small messages go out at once. Without it they still go out, only later.
        let _ = stream.set_nodelay(true);
        let serving = client::serve(stream, address, Arc::clone(&shared), end.child_token());
        tasks.spawn(async move {
            serving.await;
            drop(permit);
        });
    }
}

/// Says why, as far as that goes without waiting.
fn refuse(stream: &TcpStream, address: SocketAddr, shared: &Shared) {
    warn!(%address, limit = shared.config.max_connections, "too many connections: one refused");
    let mut words = shared.info.line_for(0, address);
    words.extend_from_slice(b"-ERR 'maximum connections exceeded'\r\n");
    let _ = stream.try_write(&words);
}
