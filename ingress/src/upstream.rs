//! The gateway's upstream: in production the [`Requester`], in tests a closure.
//!
//! The seam is here, and not at a tower service, because readiness, interest and drain belong to it too.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::{ExchangeError, Requester, RequesterConfig, UpgradeOutcome, UpstreamSession};
use h8s_wire::Host;
use http::{HeaderMap, Method, Request, Response};

use crate::RequestBody;

/// A boxed error, as bodies return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whether requests can be served now, as `/readyz` reports it. Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// Connected, and interest is known.
    Ready,
    /// Connected; the first round of interest announcements is not over.
    Learning,
    /// Disconnected from NATS; it reconnects automatically.
    Disconnected,
}

/// State of the bus behind an upstream, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusState {
    /// Connected to NATS.
    pub is_connected: bool,
    /// How often messages may have been lost: reconnects and slow-consumer overflows.
    pub disturbances: u64,
    /// How often a request body waited for credit from its responder.
    pub credit_stalls: u64,
    /// Interests announced now.
    pub interests: usize,
}

/// A responder's answer to a WebSocket request.
pub enum WebSocketResponse<B> {
    /// The responder accepts the WebSocket.
    Accepted {
        /// Headers of the client's 101, including the chosen subprotocol.
        headers: HeaderMap,
        /// The responder's side of the WebSocket.
        leg: Box<UpstreamSession>,
    },
    /// The responder refuses; the client gets this response.
    Refused(Response<B>),
}

/// The far side of the edge.
pub trait Upstream: Clone + Send + Sync + 'static {
    /// The response's body. Dropping it cancels the exchange; an error in it aborts the client's stream.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Runs one exchange up to its response head. Dropping the future cancels the exchange.
    ///
    /// The request's authority is the URI's or else `Host`, never both; an
    /// [`ExchangeContext`](h8s_nats::ExchangeContext) in its extensions describes the client.
    ///
    /// # Errors
    /// No response was received; see [`ExchangeError`]. `http::error_response` maps each to a status.
    fn send(
        &self,
        host: &Host,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Self::Body>, ExchangeError>> + Send;

    /// Publishes the request without waiting for a response.
    ///
    /// # Errors
    /// The request could not be published; see [`ExchangeError`].
    fn publish(
        &self,
        host: &Host,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<(), ExchangeError>> + Send;

    /// Requests a WebSocket from a responder. The request is an extended CONNECT (RFC 8441), otherwise as for
    /// [`send`](Self::send). Dropping the future, or the upstream session, withdraws the request.
    ///
    /// # Errors
    /// No responder answered; see [`ExchangeError`].
    fn open_websocket(
        &self,
        host: &Host,
        request: Request<()>,
    ) -> impl Future<Output = Result<WebSocketResponse<Self::Body>, ExchangeError>> + Send;

    /// Whether a responder has announced interest in this.
    fn serves(&self, host: &Host, method: &Method, path: &str) -> bool;

    /// Whether a responder has announced interest in WebSockets here.
    fn serves_websocket(&self, host: &Host, path: &str) -> bool;

    /// Whether requests can be served now.
    fn availability(&self) -> Availability;

    /// Applies `config` to subsequent requests. The default does nothing.
    fn configure(&self, _config: RequesterConfig) {}

    /// State of the bus, for metrics.
    fn bus(&self) -> BusState {
        BusState::default()
    }

    /// Ends what is still open within `grace`. Called once, after the last request. Returns whether everything ended.
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
