//! The edge without sockets: components behind a responder, and clients that are a requester's sessions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h8s_host::{ComponentService, Limits, Served, connect};
use h8s_nats::{
    ClientSink, ConnectOptions, Push, Requester, RequesterConfig, Responder, UpgradeOutcome, UpstreamEvent,
    UpstreamSession,
};
use h8s_test_support::eventually;
use h8s_wire::{Close, Host, Interest, Message, MessageKind, MethodPattern, Subjects};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::stand::{serve, within};

pub(crate) const HOST: &str = "app.example";

pub(crate) fn host(name: &str) -> Host {
    name.parse().unwrap()
}

async fn link(url: &str) -> h8s_nats::Bus {
    h8s_nats::Bus::connect(ConnectOptions::new(url).unwrap()).await.unwrap()
}

/// A gateway's requester.
pub(crate) async fn gateway(url: &str) -> Requester {
    let config = RequesterConfig::default().reopen_timeout(Duration::from_secs(20));
    let requester = Requester::start(link(url).await, config).await.unwrap();
    eventually("the requester is ready", async || requester.is_ready()).await;
    requester
}

fn interest(at: &str, path: &str, method: MethodPattern) -> Interest {
    Interest { host: host(at), path: path.parse().unwrap(), method }
}

/// A component, and the host that it is served for, at every path.
pub(crate) async fn served(component: &str, at: &str, limits: Limits) -> Served {
    served_at(component, &[at], limits).await
}

/// The same for several hosts.
pub(crate) async fn served_at(component: &str, hosts: &[&str], limits: Limits) -> Served {
    let service = serve(component, limits).await;
    let http = service.serves_http().then_some(MethodPattern::Any);
    let websockets = service.serves_websockets().then_some(MethodPattern::WebSocket);
    let methods: Vec<MethodPattern> = http.into_iter().chain(websockets).collect();
    let interests =
        hosts.iter().flat_map(|at| methods.iter().map(|method| interest(at, "/*", method.clone())));
    Served { interests: interests.collect(), service }
}

/// Serves components as `h8s-host` does.
pub(crate) async fn respond(url: &str, served: &[Served]) -> Responder {
    let link = link(url).await;
    connect(served, &link, &Subjects::default()).await.unwrap();
    let mut responder = Responder::builder(link);
    for Served { interests, service } in served {
        for interest in interests {
            responder = responder.serve(interest.clone(), service.clone());
        }
    }
    responder.start().await.unwrap()
}

/// A bus, a host with one component for [`HOST`], and a gateway.
pub(crate) struct Edge {
    pub(crate) service: ComponentService,
    pub(crate) requester: Requester,
    _responder: Responder,
    _bus: h8s_test_support::Bus,
}

impl Edge {
    pub(crate) async fn of(component: &str, limits: Limits) -> Self {
        let bus = h8s_test_support::Bus::embedded().await;
        let served = [served(component, HOST, limits).await];
        let responder = respond(&bus.url(), &served).await;
        let [Served { service, .. }] = served;
        let requester = gateway(&bus.url()).await;
        websockets_are_known(&requester, HOST).await;
        Self { service, requester, _responder: responder, _bus: bus }
    }

    /// The test guest, with the default limits.
    pub(crate) async fn guests() -> Self {
        Self::of("message-guests", Limits::default()).await
    }

    pub(crate) async fn open(&self, path: &str) -> Client {
        Client::open(&self.requester, HOST, path).await
    }

    /// One command and what comes of it.
    pub(crate) async fn post(&self, path: &str, body: &str) -> (StatusCode, String) {
        post(&self.requester, HOST, path, body).await
    }
}

/// Waits until the gateway has heard of somebody who takes WebSockets.
pub(crate) async fn websockets_are_known(requester: &Requester, at: &str) {
    let what = format!("WebSockets for {at} are announced");
    eventually(&what, async || requester.serves_websocket(&host(at), "/")).await;
}

pub(crate) async fn post(requester: &Requester, at: &str, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::post(path).header("host", at).body(Full::from(body.to_owned())).unwrap();
    let (head, body) = within(requester.send(&host(at), request)).await.unwrap().into_parts();
    let body: Bytes = within(body.collect()).await.unwrap().to_bytes();
    (head.status, String::from_utf8(body.to_vec()).unwrap())
}

/// An upgrade request as the edge makes one.
pub(crate) fn upgrade(at: &str, path: &str) -> Request<()> {
    Request::builder()
        .method("CONNECT")
        .uri(path)
        .header("host", at)
        .header("sec-websocket-protocol", "chat, other")
        .header("cookie", "a=b")
        .body(())
        .unwrap()
}

/// Asks for a WebSocket that is refused.
pub(crate) async fn refused(edge: &Edge, path: &str) -> (StatusCode, HeaderMap, String) {
    match within(edge.requester.open_websocket(&host(HOST), upgrade(HOST, path))).await.unwrap() {
        UpgradeOutcome::Accepted { .. } => panic!("{path} was accepted"),
        UpgradeOutcome::Refused(response) => {
            let (head, body) = response.into_parts();
            let body = within(body.collect()).await.unwrap().to_bytes();
            (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
        }
    }
}

/// A client's WebSocket.
pub(crate) struct Client {
    session: UpstreamSession,
    pub(crate) protocol: Option<String>,
    pub(crate) pushed: Arc<Pushed>,
}

impl Client {
    pub(crate) async fn open(requester: &Requester, at: &str, path: &str) -> Self {
        Self::open_with(requester, at, upgrade(at, path)).await
    }

    pub(crate) async fn open_with(requester: &Requester, at: &str, upgrade: Request<()>) -> Self {
        match within(requester.open_websocket(&host(at), upgrade)).await.unwrap() {
            UpgradeOutcome::Accepted { headers, mut session } => {
                let pushed = Arc::new(Pushed::default());
                session.establish(pushed.clone());
                let protocol = headers.get("sec-websocket-protocol");
                let protocol = protocol.map(|protocol| protocol.to_str().unwrap().to_owned());
                Self { session, protocol, pushed }
            }
            UpgradeOutcome::Refused(response) => panic!("refused: {response:?}"),
        }
    }

    pub(crate) fn id(&self) -> String {
        self.session.id().to_string()
    }

    pub(crate) async fn send(&mut self, kind: MessageKind, data: &[u8]) {
        while !self.session.has_room() {
            assert!(matches!(within(self.session.next()).await, UpstreamEvent::Room));
        }
        self.session.send(kind, Bytes::copy_from_slice(data), false).await;
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(MessageKind::Text, text.as_bytes()).await;
    }

    /// The next that is not about room.
    pub(crate) async fn event(&mut self) -> UpstreamEvent {
        loop {
            match within(self.session.next()).await {
                UpstreamEvent::Room => {}
                event => return event,
            }
        }
    }

    pub(crate) async fn message(&mut self) -> Message {
        match self.event().await {
            UpstreamEvent::Message(message) => message,
            event => panic!("{event:?}"),
        }
    }

    pub(crate) async fn hear(&mut self) -> String {
        String::from_utf8(self.message().await.data.to_vec()).unwrap()
    }

    /// Says something and hears the answer.
    pub(crate) async fn ask(&mut self, text: &str) -> String {
        self.say(text).await;
        self.hear().await
    }

    /// What the other side closes with.
    pub(crate) async fn closed(&mut self) -> Close {
        match self.event().await {
            UpstreamEvent::Close(close) => close,
            event => panic!("{event:?}"),
        }
    }

    /// Closes, and waits until everything has been handled.
    pub(crate) async fn close(self, code: u16, reason: &str) {
        within(self.session.close(Close::new(code, reason))).await;
    }
}

/// What came for a client beside its exchange.
#[derive(Default)]
pub(crate) struct Pushed {
    texts: Mutex<Vec<String>>,
    closed: Mutex<Option<Close>>,
}

impl ClientSink for Pushed {
    fn deliver(&self, delivery: &Push) {
        let text = String::from_utf8_lossy(&delivery.message().data).into_owned();
        self.texts.lock().unwrap().push(text);
    }

    fn close(&self, close: Close) {
        *self.closed.lock().unwrap() = Some(close);
    }
}

impl Pushed {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap().clone()
    }

    /// Waits until exactly this has come, in this order.
    pub(crate) async fn are(&self, expected: &[&str]) {
        eventually(&format!("{expected:?} is pushed"), async || self.texts().len() >= expected.len()).await;
        assert_eq!(self.texts(), expected);
    }

    pub(crate) async fn close(&self) -> Close {
        eventually("a close is pushed", async || self.closed.lock().unwrap().is_some()).await;
        self.closed.lock().unwrap().clone().unwrap()
    }
}
