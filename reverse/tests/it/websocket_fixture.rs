//! A client's session at a gateway, a daemon, and a backend behind it.

use std::sync::Arc;
use std::time::Duration;

use h8s_nats::{
    BoxError, ClientSink, ConnectOptions, ExchangeError, Push, Requester, RequesterConfig, Responder,
    UpgradeOutcome, UpstreamEvent, UpstreamSession,
};
use h8s_reverse::{BackendConfig, ReverseConfig, ReverseService};
use h8s_test_support::{Bus, eventually};
use h8s_wire::{Close, Host, Message, MessageKind, QueueGroup};
use http::{HeaderMap, Request};

use crate::stand;
use crate::websocket_backend::{Backend, Connection};

/// The largest message that the daemons here take.
pub(crate) const MAX_MESSAGE_BYTES: usize = 6 * 1024 * 1024;

/// All of them but the client.
pub(crate) struct Stand {
    pub(crate) gateway: Requester,
    /// `None` once it is gone.
    pub(crate) daemon: Option<Responder>,
    pub(crate) service: ReverseService,
    pub(crate) backend: Backend,
}

impl Stand {
    pub(crate) async fn start(bus: &Bus) -> Self {
        Self::with(bus, |_| {}).await
    }

    pub(crate) async fn with(bus: &Bus, set: impl FnOnce(&mut BackendConfig)) -> Self {
        let backend = Backend::bind().await;
        let (daemon, service) = daemon(bus, &backend.url(), set).await;
        let gateway = gateway(bus, Duration::from_secs(10)).await;
        Self { gateway, daemon: Some(daemon), service, backend }
    }

    /// A client with its WebSocket, and the backend's side of it.
    pub(crate) async fn opened(&self) -> (Client, Connection) {
        let (opened, connection) = tokio::join!(self.open(upgrade("/chat")), self.backend.accept());
        let UpgradeOutcome::Accepted { session, .. } = opened.unwrap() else { panic!("refused") };
        (Client::new(session), connection)
    }

    pub(crate) async fn open(&self, request: Request<()>) -> Result<UpgradeOutcome, ExchangeError> {
        within(self.gateway.open_websocket(&host(), request)).await
    }

    /// Nothing is left of any connection: no task at the daemon, no exchange at the gateway.
    pub(crate) async fn end_quietly(self) {
        within(self.service.idle()).await;
        eventually("the gateway's exchanges are over", async || self.gateway.open_exchanges() == 0).await;
    }
}

pub(crate) async fn daemon(
    bus: &Bus,
    backend: &str,
    set: impl FnOnce(&mut BackendConfig),
) -> (Responder, ReverseService) {
    let mut backend = BackendConfig { max_message_bytes: MAX_MESSAGE_BYTES, ..stand::backend(backend) };
    set(&mut backend);
    let config = ReverseConfig {
        mappings: vec![stand::mapping(backend)],
        queue_group: QueueGroup::default(),
        grace_period: Duration::from_secs(5),
    };
    let served = config.build().unwrap().remove(0);
    let mut builder = Responder::builder(link(bus).await);
    for interest in served.interests {
        builder = builder.serve(interest, served.service.clone());
    }
    (builder.start().await.unwrap(), served.service)
}

pub(crate) async fn gateway(bus: &Bus, request_timeout: Duration) -> Requester {
    let config =
        RequesterConfig::default().request_timeout(request_timeout).max_message_bytes(64 * 1024 * 1024);
    let requester = Requester::start(link(bus).await, config).await.unwrap();
    // Before it is ready it says yes to everything.
    eventually("WebSockets are announced", async || {
        requester.is_ready() && requester.serves_websocket(&host(), "/chat")
    })
    .await;
    requester
}

pub(crate) async fn link(bus: &Bus) -> h8s_nats::Bus {
    h8s_nats::Bus::connect(ConnectOptions::new(&bus.url()).unwrap()).await.unwrap()
}

pub(crate) fn host() -> Host {
    "app.example".parse().unwrap()
}

pub(crate) fn upgrade(target: &str) -> Request<()> {
    Request::builder().uri(target).header("host", "app.example").body(()).unwrap()
}

/// Twice what the busiest machine needs for anything here.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    h8s_test_support::within(Duration::from_secs(20), future).await
}

/// What the gateway sees of a refusal.
pub(crate) async fn refused(
    answer: Result<UpgradeOutcome, ExchangeError>,
) -> (u16, HeaderMap, Result<String, BoxError>) {
    let UpgradeOutcome::Refused(response) = answer.unwrap() else { panic!("accepted") };
    let (head, body) = response.into_parts();
    let body = within(http_body_util::BodyExt::collect(body)).await;
    let text = body.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap());
    (head.status.as_u16(), head.headers, text.map_err(Into::into))
}

/// The client's side of one connection.
pub(crate) struct Client {
    pub(crate) session: UpstreamSession,
}

impl Client {
    pub(crate) fn new(mut session: UpstreamSession) -> Self {
        session.establish(Arc::new(NoPushes));
        Self { session }
    }

    /// Sends a message whole, in parts, as room allows. Nothing may come meanwhile.
    pub(crate) async fn send(&mut self, message: &Message) {
        let mut rest = message.data.clone();
        loop {
            let part = rest.split_to(rest.len().min(64 * 1024));
            while !self.session.has_room() {
                let event = within(self.session.next_but_messages()).await;
                assert_eq!(event, UpstreamEvent::Room);
            }
            self.session.send(message.kind, part, !rest.is_empty()).await;
            if rest.is_empty() {
                return;
            }
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(&Message::text(text)).await;
    }

    pub(crate) async fn hear(&mut self) -> String {
        let message = self.message().await;
        assert_eq!(message.kind, MessageKind::Text);
        String::from_utf8(message.data.to_vec()).unwrap()
    }

    pub(crate) async fn message(&mut self) -> Message {
        match self.event().await {
            UpstreamEvent::Message(message) => message,
            event => panic!("{event:?}"),
        }
    }

    pub(crate) async fn closed(&mut self) -> Close {
        match self.event().await {
            UpstreamEvent::Close(close) => close,
            event => panic!("{event:?}"),
        }
    }

    /// What the gateway does when the client has closed, or vanished.
    pub(crate) async fn close(self, code: u16, reason: &str) {
        within(self.session.close(Close::new(code, reason))).await;
    }

    /// The next that is not about room.
    async fn event(&mut self) -> UpstreamEvent {
        loop {
            match within(self.session.next()).await {
                UpstreamEvent::Room => {}
                event => return event,
            }
        }
    }
}

struct NoPushes;

impl ClientSink for NoPushes {
    fn deliver(&self, _: &Push) {}
    fn close(&self, _: Close) {}
}
