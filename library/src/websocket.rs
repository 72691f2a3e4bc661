//! Accepting a WebSocket in a tower service.

use h8s_nats::{Accept, AcceptError, WebSocket};
use h8s_wire::ConnectionId;
use http::{Request, Response, StatusCode, header};
use tracing::warn;

/// The request does not ask for a WebSocket over h8s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the request does not ask for a WebSocket; serve its path with the method WS, for example \"WS app.example.com/chat\""
)]
pub struct NotAnUpgrade;

/// A request that asks for a WebSocket. A route receives such requests if its pattern names the method `WS`; their
/// method is `CONNECT`.
///
/// A service that answers without accepting refuses: the client receives that response.
///
/// ```no_run
/// use axum::{Router, body::Body, extract::Request, response::{IntoResponse, Response}, routing::any};
/// use h8s::{Incoming, WebSocketUpgrade};
///
/// async fn echo(mut request: Request) -> Response {
///     let upgrade = match WebSocketUpgrade::from_request(&mut request) {
///         Ok(upgrade) => upgrade,
///         Err(error) => return (axum::http::StatusCode::BAD_REQUEST, error.to_string()).into_response(),
///     };
///     upgrade.on_upgrade(async |mut socket| {
///         while let Incoming::Message { message, .. } = socket.next().await {
///             if socket.send(message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = h8s::connect("nats://127.0.0.1:4222").await?;
/// h8s::serve(&bus, "WS app.example.com/echo", Router::new().route("/echo", any(echo))).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct WebSocketUpgrade {
    upgrade: h8s_nats::WebSocketUpgrade,
    accept: Accept,
    protocols: Vec<String>,
}

impl WebSocketUpgrade {
    /// Takes the upgrade out of a request.
    ///
    /// # Errors
    /// [`NotAnUpgrade`]: the request asks for no WebSocket, or the upgrade has been taken before.
    pub fn from_request<B>(request: &mut Request<B>) -> Result<Self, NotAnUpgrade> {
        let upgrade = request.extensions_mut().remove().ok_or(NotAnUpgrade)?;
        let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let offers = offers.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
        let protocols = offers.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        Ok(Self { upgrade, accept: Accept::default(), protocols })
    }

    /// The id of the connection: what [`Connections`](crate::Connections) lists it by.
    pub fn connection(&self) -> ConnectionId {
        self.upgrade.connection()
    }

    /// Whether another process has accepted this connection before and was lost. The client has been connected all the
    /// time, and offers only the subprotocol that was chosen then.
    pub fn is_reopened(&self) -> bool {
        self.upgrade.is_reopened()
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.protocols.iter().map(String::as_str)
    }

    /// Chooses a subprotocol. It must be one of [`protocols`](Self::protocols). Default: none.
    #[must_use]
    pub fn protocol(mut self, name: impl Into<String>) -> Self {
        self.accept.protocol = Some(name.into());
        self
    }

    /// Binds the connection to this process: if the process stops, the gateway closes the connection with 1012 instead
    /// of opening it at another responder. For services that keep a connection's state in memory.
    #[must_use]
    pub fn holds_state(mut self) -> Self {
        self.accept.holds_state = true;
        self
    }

    /// Accepts. The service must return the response; until then the WebSocket waits.
    ///
    /// # Errors
    /// [`AcceptError`]: the subprotocol cannot be sent, or a clone of the request's extensions has been accepted before.
    pub fn accept<B: Default>(self) -> Result<(Response<B>, WebSocket), AcceptError> {
        let (response, socket) = self.upgrade.accept(self.accept)?;
        Ok((response.map(|()| B::default()), socket))
    }

    /// Accepts, and runs `serve` with the WebSocket in a task. The service must return the response, which is a 500 where
    /// [`accept`](Self::accept) fails.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn on_upgrade<B, F, R>(self, serve: F) -> Response<B>
    where
        B: Default,
        F: FnOnce(WebSocket) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        match self.accept() {
            Ok((response, socket)) => {
                tokio::spawn(serve(socket));
                response
            }
            Err(error) => {
                warn!(%error, "a WebSocket was not accepted");
                let mut response = Response::new(B::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}
