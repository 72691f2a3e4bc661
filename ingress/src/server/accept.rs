//! Accepts connections and prepares each for requests: one path for cleartext and TLS, HTTP/1.1 and HTTP/2.
//!
//! A permit comes before the accept, so that connections beyond the limit wait in the kernel's queue. Every step until
//! the first request has a deadline.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::Upstream;
use crate::http::forwarded::Peer;
use crate::http::service::GatewayService;
use crate::observability::metrics::{Limit, Metrics};
use crate::protection::in_flight::ClientConnection;
use crate::protection::per_address::{AddressPermit, Addresses};
use crate::server::connection::drive;
use crate::server::detect;
use crate::server::lingering_close::LingeringClose;
use crate::server::protocol::Protocol;
use crate::shutdown::{Phase, ShutdownWatch};

/// State shared by the connections of one worker.
#[derive(Clone)]
pub(crate) struct Server<U> {
    pub(crate) service: Arc<GatewayService<U>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) addresses: Addresses,
    pub(crate) connections: TaskTracker,
    pub(crate) runtime: Handle,
    pub(crate) shutdown: ShutdownWatch,
}

/// Accepts until shutdown. Each connection goes to the server with the best availability (each has its own NATS
/// connections), and among those to the one with the fewest connections.
pub(crate) async fn accept<U: Upstream>(
    listener: TcpListener,
    servers: Arc<[Server<U>]>,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    mut shutdown: ShutdownWatch,
) {
    let mut draining = pin!(shutdown.reached(Phase::Draining));
    loop {
        let (stream, address, permit) = tokio::select! {
            biased;
            () = &mut draining => return,
            next = next_connection(&listener, &permits, &metrics) => next,
        };
        let burden = |server: &&Server<U>| (server.service.upstream.availability(), server.connections.len());
        if let Some(server) = servers.iter().min_by_key(burden) {
            server.take(stream, address, permit);
        }
    }
}

impl<U: Upstream> Server<U> {
    /// Serves the connection on the worker's own thread.
    fn take(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        let server = self.clone();
        let serve = move |stream| async move {
            // A socket must be registered with the runtime that polls it.
            match TcpStream::from_std(stream) {
                Ok(stream) => server.serve(stream, address, permit).await,
                Err(error) => {
                    tracing::warn!(%error, "failed to register a client connection with its worker")
                }
            }
        };
        match stream.into_std() {
            Ok(stream) => drop(self.connections.spawn_on(serve(stream), &self.runtime)),
            Err(error) => tracing::warn!(%error, "failed to hand a client connection to its worker"),
        }
    }

    async fn serve(self, stream: TcpStream, address: SocketAddr, _permit: OwnedSemaphorePermit) {
        let policy = self.service.reload_handle.policy();
        let address_permit = match policy.trusted_proxies.contains(address.ip()) {
            true => None,
            false => match self.admit(address, policy.limits.connections_per_address).await {
                Some(permit) => Some(permit),
                None => return,
            },
        };
        tune(&stream);
        let peer = Peer::new(address.ip(), policy.tls.is_some(), policy.trusted_proxies.clone());
        let connection =
            ClientConnection::new(peer, self.metrics.clone(), policy.limits.clone(), address_permit);
        let connection = Arc::new(connection);
        let stream = LingeringClose::new(stream, connection.clone());
        let mut draining = self.shutdown.clone();
        let served = match &policy.tls {
            None => {
                let opening = timeout(policy.limits.handshake_timeout, detect::detect(stream));
                match or_drained(&mut draining, opening).await {
                    Ok((protocol, stream)) => {
                        drive(self.service, protocol, stream, &connection, self.shutdown).await
                    }
                    Err(error) => Err(not_opened(&connection, error)),
                }
            }
            Some(tls) => {
                let opening = timeout(policy.limits.handshake_timeout, tls.accept(stream));
                match or_drained(&mut draining, opening).await {
                    Ok(stream) => {
                        drive(self.service, by_alpn(&stream), stream, &connection, self.shutdown).await
                    }
                    Err(error) => Err(not_opened(&connection, error)),
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%address, error, "a client connection ended early");
        }
    }

    /// Takes a permit for the client's address, and waits while the address is paused after abuse. Well-behaved clients
    /// behind the same address are only delayed; an abusive one cannot return in large numbers, since it keeps to the
    /// permits of its address.
    async fn admit(&self, address: SocketAddr, limit: u32) -> Option<AddressPermit> {
        let Some(permit) = self.addresses.enter(address.ip(), limit) else {
            self.metrics.limited.hit(Limit::ConnectionsPerAddress);
            tracing::debug!(%address, "a client connection was refused: --max-connections-per-address is reached");
            return None;
        };
        if let Some(until) = permit.pausing_until() {
            self.metrics.limited.hit(Limit::Pause);
            tracing::debug!(%address, "a client connection is delayed after abuse");
            let mut draining = self.shutdown.clone();
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = draining.reached(Phase::Draining) => return None,
            }
        }
        Some(permit)
    }
}

/// Waits for room first, then for a client. A failed accept is waited out: out of file descriptors, accepting at once
/// again would only burn a core.
async fn next_connection(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    metrics: &Metrics,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
    let mut backoff = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, permit),
            Err(error) if is_clients_fault(&error) => {}
            Err(error) => {
                metrics.limited.hit(Limit::Accept);
                tracing::warn!(%error, ?backoff, "failed to accept a connection; retrying");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(Duration::from_secs(1));
            }
        }
    }
}

/// The client left between the kernel's accept and ours (accept(2)).
fn is_clients_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Disables Nagle's algorithm and enables keep-alive probes, so that a client that vanishes from an idle stream is noticed.
fn tune(stream: &TcpStream) {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let tuned = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = tuned {
        tracing::debug!(%error, "failed to set socket options");
    }
}

/// Ends a handshake that times out, or that shutdown interrupts.
async fn or_drained<T>(
    shutdown: &mut ShutdownWatch,
    opening: impl Future<Output = Result<io::Result<T>, tokio::time::error::Elapsed>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        opened = opening => opened.map_err(io::Error::from)?,
        () = shutdown.reached(Phase::Draining) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn not_opened(connection: &ClientConnection, error: io::Error) -> crate::BoxError {
    if error.kind() == io::ErrorKind::TimedOut {
        connection.limited(Limit::Handshake);
    }
    error.into()
}

fn by_alpn(stream: &tokio_rustls::server::TlsStream<LingeringClose>) -> Protocol {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    }
}
