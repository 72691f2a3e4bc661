//! The running broker: listens, accepts connections up to a limit, and shuts down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::client;
use crate::handshake::Info;
use crate::state::BrokerState;
use crate::{Config, StartError};

/// The pause after a failed accept, e.g. when the process has no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running broker. Dropping it stops it; [`shutdown`](Broker::shutdown) also waits until it has stopped.
pub struct Broker {
    address: SocketAddr,
    tasks: TaskTracker,
    end: DropGuard,
}

impl Broker {
    /// Starts to listen. Clients can connect as soon as this returns. Must be called within a tokio runtime, which runs
    /// a task per connection.
    ///
    /// # Errors
    /// [`StartError`] if the address is not available, a limit is out of range, or there is no tokio runtime.
    pub fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let failed = |source| StartError::Listen { address: config.listen, source };
        let listener = listen(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            warn!(%address, "listening on a non-loopback address without authentication");
        }
        info!(%address, "broker listening");

        let permits = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
        let info = Info::new(address, config.max_payload_bytes);
        let state = BrokerState::new(config, info);
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn_on(accept(listener, Arc::new(state), permits, tasks.clone(), end.clone()), &runtime);
        tasks.close();
        Ok(Self { address, tasks, end: end.drop_guard() })
    }

    /// The listen address, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients on this machine, e.g. `nats://127.0.0.1:4222`.
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("nats://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// Stops listening, writes queued messages to clients that read them immediately, closes every connection and waits
    /// until all tasks have ended. Takes one second at most.
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
    state: Arc<BrokerState>,
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
            refuse(&stream, address, &state);
            continue;
        };
        // Sends small messages without delay. A failure only costs latency.
        let _ = stream.set_nodelay(true);
        let serving = client::serve(stream, address, Arc::clone(&state), end.child_token());
        tasks.spawn(async move {
            serving.await;
            drop(permit);
        });
    }
}

/// Sends the reason if the socket accepts it without waiting.
fn refuse(stream: &TcpStream, address: SocketAddr, state: &BrokerState) {
    warn!(%address, limit = state.config.max_connections, "connection refused: too many connections");
    let mut lines = state.info.line_for(0, address);
    lines.extend_from_slice(b"-ERR 'maximum connections exceeded'\r\n");
    let _ = stream.try_write(&lines);
}
