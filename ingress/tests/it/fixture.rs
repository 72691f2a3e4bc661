//! A gateway over a real bus, with a native responder that owns WebSockets behind it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h8s_ingress::{BoxError, Config, WebSocketConfig};
use h8s_nats::{
    Accept, Body, ConnectOptions, Incoming, Requester, RequesterConfig, Responder, WebSocket,
    WebSocketUpgrade,
};
use h8s_test_support::websocket_client::{Upgrade, WebSocketClient};
use h8s_wire::{Close, Host, Interest, Message, MethodPattern};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

pub(crate) use h8s_test_support::websocket_client::Event;
pub(crate) use h8s_test_support::{Bus, eventually, over_both_buses, soon};

use crate::support::{Running, run};

pub(crate) type ServiceBody = UnsyncBoxBody<Bytes, BoxError>;
type ServiceFuture = Pin<Box<dyn Future<Output = Result<Response<ServiceBody>, BoxError>> + Send>>;

pub(crate) fn config() -> Config {
    Config { websockets: WebSocketConfig::default(), ..Config::default() }
}

pub(crate) fn websockets(config: WebSocketConfig) -> Config {
    Config { websockets: config, ..Config::default() }
}

pub(crate) fn host() -> Host {
    "app.example".parse().unwrap()
}

pub(crate) async fn link(bus: &Bus) -> h8s_nats::Bus {
    h8s_nats::Bus::connect(ConnectOptions::new(&bus.url()).unwrap()).await.unwrap()
}

/// A serving gateway that knows the interest in WebSockets.
pub(crate) struct Gateway {
    pub(crate) ingress: Running,
    pub(crate) requester: Requester,
}

impl Gateway {
    pub(crate) async fn start(bus: &Bus) -> Self {
        Self::with(bus, config()).await
    }

    pub(crate) async fn with(bus: &Bus, config: Config) -> Self {
        let requester = RequesterConfig::default()
            .max_message_bytes(config.websockets.max_message_bytes)
            .reopen_timeout(config.websockets.reopen_timeout);
        let requester = Requester::start(link(bus).await, requester).await.unwrap();
        let config = Config { admin_listen: Some("127.0.0.1:0".parse().unwrap()), ..config };
        let ingress = run(config.build_on(requester.clone()).await.unwrap());
        let gateway = Self { ingress, requester };
        eventually("the gateway is ready", async || gateway.requester.is_ready()).await;
        gateway
    }

    /// Waits until the gateway knows the interest in WebSockets.
    pub(crate) async fn serving(self) -> Self {
        eventually("WebSockets are announced", async || self.requester.serves_websocket(&host(), "/")).await;
        self
    }

    pub(crate) fn upgrade(&self, target: &str) -> Upgrade {
        WebSocketClient::upgrade(&format!("http://{}{target}", self.ingress.address)).host("app.example")
    }

    pub(crate) async fn connect(&self) -> WebSocketClient {
        self.upgrade("/").send().await.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    pub(crate) async fn closed_becomes(&self, class: &str, count: f64) {
        self.ingress.metric_becomes("h8s_ingress_websocket_closes_total", class, count).await;
    }
}

/// A closure as a tower service.
#[derive(Clone)]
struct Service<F>(F);

impl<F, R> tower_service::Service<Request<Body>> for Service<F>
where
    F: Fn(Request<Body>) -> R,
    R: Future<Output = Result<Response<ServiceBody>, BoxError>> + Send + 'static,
{
    type Response = Response<ServiceBody>;
    type Error = BoxError;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ServiceFuture {
        Box::pin((self.0)(request))
    }
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> ServiceBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Answers every request for a WebSocket.
pub(crate) async fn responder<F, R>(bus: &Bus, answer: F) -> Responder
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<ServiceBody>, BoxError>> + Send + 'static,
{
    answering(bus, MethodPattern::WebSocket, answer).await
}

/// Answers every request of a method.
pub(crate) async fn answering<F, R>(bus: &Bus, method: MethodPattern, answer: F) -> Responder
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<ServiceBody>, BoxError>> + Send + 'static,
{
    let interest = Interest { host: host(), path: "/*".parse().unwrap(), method };
    Responder::builder(link(bus).await).serve(interest, Service(answer)).start().await.unwrap()
}

/// Accepts every WebSocket, and passes it to `own`.
pub(crate) async fn owner<F, R>(bus: &Bus, accept: Accept, own: F) -> Responder
where
    F: Fn(WebSocket) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    responder(bus, move |mut request| {
        let upgrade = request.extensions_mut().remove::<WebSocketUpgrade>().expect("a WebSocket");
        let (response, websocket) = upgrade.accept(accept.clone()).unwrap();
        tokio::spawn(own(websocket));
        std::future::ready(Ok(response.map(|()| full(""))))
    })
    .await
}

/// Echoes everything.
pub(crate) async fn echo(mut websocket: WebSocket) {
    let sender = websocket.sender();
    while let Incoming::Message { message, .. } = websocket.next().await {
        if sender.send(message).await.is_err() {
            return;
        }
    }
}

pub(crate) async fn echoing(bus: &Bus) -> Responder {
    owner(bus, Accept::default(), echo).await
}

/// Reports received messages, and the end of the connection.
pub(crate) async fn hearing(bus: &Bus) -> (Responder, tokio::sync::mpsc::UnboundedReceiver<Incoming>) {
    let (heard, received) = tokio::sync::mpsc::unbounded_channel();
    let own = move |mut websocket: WebSocket| {
        let heard = heard.clone();
        async move {
            loop {
                let incoming = websocket.next().await;
                let is_last = !matches!(incoming, Incoming::Message { .. });
                // The test may have dropped the receiver.
                if heard.send(incoming).is_err() || is_last {
                    return;
                }
            }
        }
    };
    (owner(bus, Accept::default(), own).await, received)
}

/// A message delivered once.
pub(crate) fn incoming(text: &str) -> Incoming {
    Incoming::Message { message: Message::text(text), redelivered: false }
}

pub(crate) fn ended(code: u16, reason: &str) -> Incoming {
    Incoming::Close(Close::new(code, reason))
}

pub(crate) fn text_event(text: &str) -> Event {
    Event::Text(text.to_owned())
}

/// Longer than any test: only an event ends the wait.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// Short enough for a test to wait.
pub(crate) const SHORT: Duration = Duration::from_millis(100);
