//! What the edge needs from whoever answers: in production the [`Requester`], in tests a closure.
//!
//! The seam is here, and not at a tower service, because readiness, interest and drain belong to it too.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::{ExchangeError, Requester, RequesterConfig, UpgradeOutcome, UpstreamSession};
use h8s_wire::Host;
use http::{HeaderMap, Method, Request, Response};

use crate::RequestBody;

/// An error of any kind, as bodies have it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whether requests can be answered right now. What `/readyz` says.
/// From best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// Connected, and it is known who serves what.
    Ready,
    /// Connected; the first round of asking who serves what is not over.
    Learning,
    /// NATS is away. The link comes back by itself.
    Disconnected,
}

/// How the bus behind an upstream is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusState {
    /// It is there.
    pub is_connected: bool,
    /// How often messages may have been lost: reconnects, and messages that came faster than they were taken.
    pub disturbances: u64,
    /// How often a request's body waited until its responder would take more.
    pub credit_stalls: u64,
    /// Interests announced now.
    pub interests: usize,
}

/// What a responder says to a client that asks for a WebSocket.
pub enum WebSocketResponse<B> {
    /// Yes.
    Accepted {
        /// Of the client's 101, the chosen subprotocol among them.
        headers: HeaderMap,
        /// The WebSocket's other side.
        leg: Box<UpstreamSession>,
    },
    /// No, and this is what the client gets instead.
    Refused(Response<B>),
}

/// The far side of the edge.
pub trait Upstream: Clone + Send + Sync + 'static {
    /// The response's body. Dropping it cancels the exchange; an error in it aborts the client's stream.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Runs one exchange up to its response head. Dropping the future cancels the exchange.
    ///
    /// The request's authority is the URI's or else `Host`, never both; an
    /// [`ExchangeContext`](h8s_nats::ExchangeContext) among its extensions says who the client is.
    ///
    /// # Errors
    /// See [`ExchangeError`]; `rescue` gives each its status.
    fn send(
        &self,
        host: &Host,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Self::Body>, ExchangeError>> + Send;

    /// Sends the request on its way and waits for nobody.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    fn publish(
        &self,
        host: &Host,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<(), ExchangeError>> + Send;

    /// Asks whether somebody takes this WebSocket. The request is an extended CONNECT (RFC 8441), otherwise as for
    /// [`send`](Self::send). Dropping the future, or the leg, takes the question back.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    fn open_websocket(
        &self,
        host: &Host,
        request: Request<()>,
    ) -> impl Future<Output = Result<WebSocketResponse<Self::Body>, ExchangeError>> + Send;

    /// Has anybody announced interest in this?
    fn serves(&self, host: &Host, method: &Method, path: &str) -> bool;

    /// Has anybody announced interest in WebSockets here?
    fn serves_websocket(&self, host: &Host, path: &str) -> bool;

    /// Can requests be answered right now?
    fn availability(&self) -> Availability;

    /// Treats requests in another way from the next one on. Nothing, where there is nothing to configure.
    fn configure(&self, _config: RequesterConfig) {}

    /// What there is to say about the bus, for metrics.
    fn bus(&self) -> BusState {
        BusState::default()
    }

    /// Ends what is still open within `grace`. Called once, when no more requests come. Says whether all of it did.
    fn drain(&self, grace: Duration) -> impl Future<Output = bool> + Send;
}

impl Upstream for Requester {
    type Body = h8s_nats::Body;

    fn send(
        &self,
        host: &Host,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Self::Body>, ExchangeError>> + Send {
        Requester::send(self, host, request)
    }

    async fn publish(&self, host: &Host, request: Request<RequestBody>) -> Result<(), ExchangeError> {
        Requester::publish(self, host, request).await
    }

    async fn open_websocket(
        &self,
        host: &Host,
        request: Request<()>,
    ) -> Result<WebSocketResponse<Self::Body>, ExchangeError> {
        Ok(match Requester::open_websocket(self, host, request).await? {
            UpgradeOutcome::Accepted { headers, session } => {
                WebSocketResponse::Accepted { headers, leg: Box::new(session) }
            }
            UpgradeOutcome::Refused(response) => WebSocketResponse::Refused(response),
        })
    }

    fn serves(&self, host: &Host, method: &Method, path: &str) -> bool {
        Requester::serves(self, host, method, path)
    }

    fn serves_websocket(&self, host: &Host, path: &str) -> bool {
        Requester::serves_websocket(self, host, path)
    }

    fn availability(&self) -> Availability {
        match (self.is_connected(), self.is_ready()) {
            (true, true) => Availability::Ready,
            (true, false) => Availability::Learning,
            (false, _) => Availability::Disconnected,
        }
    }

    fn configure(&self, config: RequesterConfig) {
        Requester::configure(self, config);
    }

    fn bus(&self) -> BusState {
        let state = self.bus_state();
        BusState {
            is_connected: state.connected,
            disturbances: state.disturbances,
            credit_stalls: self.credit_stalls(),
            interests: self.announced_interests(),
        }
    }

    async fn drain(&self, grace: Duration) -> bool {
        Requester::drain(self, grace).await
    }
}
