//! A gateway inside another application: a tower service that sends its requests over NATS.

mod body;
mod error_response;
mod fields;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::{BoxError, Bus, ExchangeError, Requester, RequesterConfig, StartError};
use h8s_wire::{Host, HostError};
use http::{Request, Response, header};
use http_body::Body as HttpBody;
use tower_service::Service;
use tracing::debug;

pub use body::GatewayBody;

/// Why a gateway has no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The request names no host: neither its URI nor a `Host` field does. Maps to 400.
    #[error("the request has no Host")]
    NoHost,
    /// The request's host is not valid. Maps to 400.
    #[error("the request's host is not valid")]
    Host(#[source] HostError),
    /// The exchange failed. Each of its variants says which status it maps to.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// A gateway to embed in an application: a tower service that sends each request to a responder of its host and path.
///
/// It does what belongs to the bus: routing, streaming with back-pressure, deadlines and cancellation, and removes
/// fields that end at a hop (RFC 9110 §7.6.1) and h8s' own. What belongs to an edge is the application's: TLS, limits,
/// authorization and `X-Forwarded-*`. WebSockets need `h8sd`: an upgrade is not passed on.
///
/// As a tower service it never fails: an error becomes a response with the status that the error's documentation
/// names. Use [`send`](Self::send) to handle errors yourself.
///
/// The trait is that of tower-service 0.3, the one that axum, tonic and hyper-util implement and expect; it is a 0.x
/// crate that has not changed since 2019.
///
/// ```no_run
/// use axum::{Router, routing::get};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = h8s::connect("nats://127.0.0.1:4222").await?;
/// let gateway = h8s::Gateway::start(&bus).await?;
/// let app = Router::new().route("/healthz", get(async || "ok")).fallback_service(gateway);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(listener, app).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Gateway {
    requester: Requester,
}

impl Gateway {
    /// Starts a gateway with the default [`RequesterConfig`]. Routes are learned in the background: see
    /// [`is_ready`](Self::is_ready).
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(bus: &Bus) -> Result<Self, StartError> {
        Self::start_with(bus, RequesterConfig::default()).await
    }

    /// Starts a gateway with timeouts and limits of its own.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_with(bus: &Bus, config: RequesterConfig) -> Result<Self, StartError> {
        Ok(Self { requester: Requester::start(bus.clone(), config).await? })
    }

    /// Whether it is connected and has learned the announced routes. Requests before that are sent all the same.
    pub fn is_ready(&self) -> bool {
        self.requester.is_ready()
    }

    /// Sends a request, and returns when the response's head is there; both bodies stream.
    ///
    /// An [`ExchangeContext`](crate::ExchangeContext) in the request's extensions passes the client's address and a
    /// deadline on.
    ///
    /// # Errors
    /// See [`GatewayError`].
    ///
    /// # Cancel safety
    /// Dropping the future, or later the response's body, cancels the request at the responder.
    pub async fn send<B>(&self, mut request: Request<B>) -> Result<Response<h8s_nats::Body>, GatewayError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let host = host(&request)?;
        fields::strip_request(request.headers_mut());
        let mut response = self.requester.send(&host, request).await?;
        fields::strip_response(response.headers_mut());
        Ok(response)
    }

    /// Waits until every open exchange has ended, at most for `grace`. Returns whether all did.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.requester.drain(grace).await
    }
}

fn host<B>(request: &Request<B>) -> Result<Host, GatewayError> {
    let field = || request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    Host::parse(authority.or_else(field).ok_or(GatewayError::NoHost)?).map_err(GatewayError::Host)
}

impl<B> Service<Request<B>> for Gateway
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let gateway = self.clone();
        Box::pin(async move {
            Ok(match gateway.send(request).await {
                Ok(response) => response.map(GatewayBody::from),
                Err(error) => {
                    debug!(%error, "no response");
                    error_response::of(&error)
                }
            })
        })
    }
}
