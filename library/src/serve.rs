//! A service behind NATS, from start to drain.

use std::fmt;
use std::future::pending;
use std::pin::{Pin, pin};
use std::time::Duration;

use h8s_nats::{Bus, HttpService, Responder, ResponderBuilder, StartError};

use crate::pattern::{self, PatternError};

/// As long as the programs of h8s take by default: shorter than the 30 s after which supervisors kill.
const GRACE_PERIOD: Duration = Duration::from_secs(25);

/// Why a service is not served, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A route's pattern is not valid. Nothing was started.
    #[error("invalid route {pattern:?}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// NATS refused a subscription or an announcement, or did not confirm them.
    #[error("cannot start serving")]
    Start(#[from] StartError),
    /// The subscriptions ended without a shutdown: this process can receive no more requests. Connect again.
    #[error("stopped serving: the subscriptions to NATS ended")]
    Stopped,
}

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves a tower service at a pattern: `[METHOD[,METHOD…] ]HOST/PATH`.
///
/// - `app.example.com/*`: every path and HTTP method of the host
/// - `GET app.example.com/users/*`: one method, and everything below a path
/// - `ANY,WS app.example.com/chat`: one path, HTTP and WebSockets
///
/// `ANY` stands for every HTTP method, `WS` for WebSockets. The most specific pattern on the bus serves a request:
/// the longest path first, then the method. Paths reach the service whole.
///
/// Awaiting the returned [`Serve`] subscribes, announces the routes, and serves.
///
/// ```no_run
/// use axum::{Router, routing::get};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = h8s::connect("nats://127.0.0.1:4222").await?;
/// let app = Router::new().route("/", get(async || "hello"));
/// h8s::serve(&bus, "app.example.com/*", app).await?;
/// # Ok(()) }
/// ```
pub fn serve<S: HttpService>(bus: &Bus, pattern: &str, service: S) -> Serve {
    let serve = Serve {
        builder: Responder::builder(bus.clone()),
        shutdown: None,
        grace_period: GRACE_PERIOD,
        error: None,
    };
    serve.route(pattern, service)
}

/// A service that is configured, and starts when it is awaited. Made by [`serve`].
#[must_use = "nothing is served until this is awaited or started"]
pub struct Serve {
    builder: ResponderBuilder,
    shutdown: Option<Signal>,
    grace_period: Duration,
    /// The first invalid pattern: reported at the start.
    error: Option<ServeError>,
}

impl Serve {
    /// Serves another pattern, with the same service or another one. See [`serve`] for its form; the last of two equal
    /// patterns applies.
    pub fn route<S: HttpService>(mut self, pattern: &str, service: S) -> Self {
        match pattern::interests(pattern) {
            Ok(interests) => {
                for interest in interests {
                    self.builder = self.builder.serve(interest, service.clone());
                }
            }
            Err(source) => {
                let error = ServeError::Pattern { pattern: pattern.to_owned(), source };
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// The NATS queue group whose members share the requests: each request goes to one of them. Default `h8s`.
    ///
    /// All processes that serve one host and path must use the same group, or one member of *each* group executes
    /// every request. Change it only where NATS permissions name a group.
    pub fn queue_group(mut self, name: impl Into<String>) -> Self {
        self.builder = self.builder.queue_group(name);
        self
    }

    /// Requests served at once; further ones are refused, and the gateway tries another process. Default 10,000.
    pub fn max_exchanges(mut self, limit: usize) -> Self {
        self.builder = self.builder.max_exchanges(limit);
        self
    }

    /// The largest WebSocket message from a client, in bytes; a larger one closes its connection with 1011. Gateways
    /// have a limit of their own, 1 MiB by default. Default 64 MiB.
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.builder = self.builder.max_message_bytes(limit);
        self
    }

    /// How long open requests may take to end at shutdown; the rest is aborted then. Default 25 s.
    pub fn grace_period(mut self, period: Duration) -> Self {
        self.grace_period = period;
        self
    }

    /// Drains when `signal` completes: announces that this process leaves, takes no more requests, and finishes those
    /// that are open, within the [grace period](Self::grace_period). No request is lost. WebSockets move to another
    /// process.
    pub fn with_graceful_shutdown<F>(mut self, signal: F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.shutdown = Some(Box::pin(signal));
        self
    }

    /// Starts. On return the NATS server has every subscription, and gateways are being told: requests arrive.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn start(self) -> Result<Server, ServeError> {
        let Self { builder, shutdown, grace_period, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        Ok(Server { responder: builder.start().await?, shutdown, grace_period })
    }
}

impl IntoFuture for Serve {
    /// `Ok` after a shutdown.
    type Output = Result<(), ServeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut signal = self.shutdown.take().unwrap_or_else(|| Box::pin(pending()));
            let mut start = pin!(self.start());
            // The signal is polled from the beginning: requests arrive, and a process is stopped, while it still starts.
            let server = tokio::select! {
                server = &mut start => server?,
                () = &mut signal => {
                    start.await?.shutdown().await;
                    return Ok(());
                }
            };
            Server { shutdown: Some(signal), ..server }.run().await
        })
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("grace_period", &self.grace_period).finish_non_exhaustive()
    }
}

/// A service that is being served. Made by [`Serve::start`].
///
/// Dropping it stops at once: open requests are aborted, and their clients receive an error. Use
/// [`shutdown`](Self::shutdown).
#[must_use = "dropping it stops serving"]
pub struct Server {
    responder: Responder,
    shutdown: Option<Signal>,
    grace_period: Duration,
}

impl Server {
    /// Requests being served now, WebSockets among them.
    pub fn open_exchanges(&self) -> usize {
        self.responder.open_exchanges()
    }

    /// Serves until the signal of [`Serve::with_graceful_shutdown`], and drains then; without a signal, until serving
    /// fails.
    ///
    /// # Errors
    /// [`ServeError::Stopped`].
    pub async fn run(mut self) -> Result<(), ServeError> {
        let signal = self.shutdown.take().unwrap_or_else(|| Box::pin(pending()));
        tokio::select! {
            () = signal => {}
            () = self.closed() => return Err(ServeError::Stopped),
        }
        self.shutdown().await;
        Ok(())
    }

    /// Completes when serving has stopped without a shutdown. While NATS is disconnected, serving continues: the bus
    /// reconnects.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.responder.closed()
    }

    /// Drains, within the grace period. Returns whether every request ended by itself.
    pub async fn shutdown(self) -> bool {
        self.responder.drain(self.grace_period).await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("open_exchanges", &self.open_exchanges()).finish_non_exhaustive()
    }
}
