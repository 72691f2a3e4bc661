//! A client's session at a gateway, a daemon, and its backend.

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

use crate::harness;
use crate::websocket_backend::{Backend, Connection};

/// The message limit of the daemons.
pub(crate) const MAX_MESSAGE_BYTES: usize = 6 * 1024 * 1024;

/// Gateway, daemon and backend.
pub(crate) struct Fixture {
    pub(crate) gateway: Requester,
    /// `None` after its end.
    pub(crate) daemon: Option<Responder>,
    pub(crate) service: ReverseService,
    pub(crate) backend: Backend,
}

impl Fixture {
    pub(crate) async fn start(bus: &Bus) -> Self {
        Self::with(bus, |_| {}).await
    }

    pub(crate) async fn with(bus: &Bus, set: impl FnOnce(&mut BackendConfig)) -> Self {
        let backend = Backend::bind().await;
        let (daemon, service) = daemon(bus, &backend.url(), set).await;
        let gateway = gateway(bus, Duration::from_secs(10)).await;
        Self { gateway, daemon: Some(daemon), service, backend }
    }

    /// An open WebSocket: the client, and the backend's side.
    pub(crate) async fn opened(&self) -> (Client, Connection) {
        let (opened, connection) = tokio::join!(self.open(upgrade("/chat")), self.backend.accept());
        let UpgradeOutcome::Accepted { session, .. } = opened.unwrap() else { panic!("refused") };
        (Client::new(session), connection)
    }

    pub(crate) async fn open(&self, request: Request<()>) -> Result<UpgradeOutcome, ExchangeError> {
        within(self.gateway.open_websocket(&host(), request)).await
    }

    /// Waits until no connection is left: no task at the daemon, no exchange at the gateway.
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
    let mut backend = BackendConfig { max_message_bytes: MAX_MESSAGE_BYTES, ..harness::backend(backend) };
    set(&mut backend);
    let config = ReverseConfig {
        mappings: vec![harness::mapping(backend)],
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
    // Before it is ready it accepts every request.
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

/// Twice the time that the slowest test needs on a busy machine.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    h8s_test_support::within(Duration::from_secs(20), future).await
}

/// A refusal as the gateway receives it.
pub(crate) async fn refused(
    answer: Result<UpgradeOutcome, ExchangeError>,
) -> (u16, HeaderMap, Result<String, BoxError>) {
    let UpgradeOutcome::Refused(response) = answer.unwrap() else { panic!("accepted") };
    let (head, body) = response.into_parts();
    let body = within(http_body_util::BodyExt::collect(body)).await;
    let text = body.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap());
    (head.status.as_u16(), head.headers, text.map_err(Into::into))
}

/// The client's side of a connection.
pub(crate) struct Client {
    pub(crate) session: UpstreamSession,
}

impl Client {
    pub(crate) fn new(mut session: UpstreamSession) -> Self {
        session.establish(Arc::new(NoPushes));
        Self { session }
    }

    /// Sends a message in parts, as the window allows. No other event is expected meanwhile.
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

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send(&Message::text(text)).await;
    }

    pub(crate) async fn receive_text(&mut self) -> String {
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

    /// Closes as the gateway does when the client has closed or vanished.
    pub(crate) async fn close(self, code: u16, reason: &str) {
        within(self.session.close(Close::new(code, reason))).await;
    }

    /// The next event other than a window update.
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
