//! WebSockets without sockets: a requester's session on one side, a responder's service on the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use h8s_nats::{
    Accept, ClientSink, Incoming, Push, Requester, RequesterConfig, Responder, UpgradeOutcome, UpstreamEvent,
    UpstreamSession, WebSocket, WebSocketUpgrade,
};
use h8s_wire::{Close, Interest, Message, MessageKind, MethodPattern};
use http::{HeaderMap, Request, Response};

use crate::fixture::{eventually, full, host, link, requester_with, service, within};

pub(crate) fn websockets(path: &str) -> Interest {
    Interest { host: host(), path: path.parse().unwrap(), method: MethodPattern::WebSocket }
}

/// A responder that accepts every WebSocket and passes it to `own`.
pub(crate) async fn owner<F, R>(url: &str, accept: Accept, own: F) -> Responder
where
    F: Fn(WebSocket) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let accepting = service(move |mut request| {
        let (own, accept) = (own.clone(), accept.clone());
        async move {
            let upgrade = request.extensions_mut().remove::<WebSocketUpgrade>().expect("a WebSocket");
            let (response, websocket) = upgrade.accept(accept).unwrap();
            tokio::spawn(own(websocket));
            Ok(response.map(|()| full("")))
        }
    });
    Responder::builder(link(url).await).serve(websockets("/*"), accepting).start().await.unwrap()
}

/// Echoes every message, and closes with the client's code.
pub(crate) async fn echo(mut websocket: WebSocket) {
    let sender = websocket.sender();
    while let Incoming::Message { message, .. } = websocket.next().await {
        if sender.send(message).await.is_err() {
            return;
        }
    }
}

pub(crate) async fn echo_responder(url: &str) -> Responder {
    owner(url, Accept::default(), echo).await
}

pub(crate) fn config() -> RequesterConfig {
    RequesterConfig::default().request_timeout(Duration::from_secs(10)).max_message_bytes(8 * 1024 * 1024)
}

pub(crate) async fn gateway(url: &str) -> Requester {
    requester_with(url, config()).await
}

pub(crate) fn upgrade(path: &str) -> Request<()> {
    Request::builder()
        .uri(path)
        .header("host", "app.example")
        .header("sec-websocket-protocol", "chat, other")
        .body(())
        .unwrap()
}

/// Waits until a native WebSocket interest is known, so that no session falls back to the plain dialect.
pub(crate) async fn served(requester: &Requester, path: &str) {
    eventually("WebSockets are announced", async || requester.serves_websocket(&host(), path)).await;
}

pub(crate) async fn opened(requester: &Requester, path: &str) -> (HeaderMap, Client) {
    match within(requester.open_websocket(&host(), upgrade(path))).await.unwrap() {
        UpgradeOutcome::Accepted { headers, mut session } => {
            let outlet = Arc::new(Pushed::default());
            session.establish(outlet.clone());
            (headers, Client { session, pushed: outlet })
        }
        UpgradeOutcome::Refused(response) => panic!("refused: {response:?}"),
    }
}

/// The gateway's side.
pub(crate) struct Client {
    pub(crate) session: UpstreamSession,
    pub(crate) pushed: Arc<Pushed>,
}

impl Client {
    /// Sends a whole message in parts of 64 KiB, as room allows. Returns the answers received meanwhile.
    pub(crate) async fn send(&mut self, message: &Message) -> Vec<UpstreamEvent> {
        let mut events = Vec::new();
        let mut rest = message.data.clone();
        loop {
            let part = rest.split_to(rest.len().min(64 * 1024));
            while !self.session.has_room() {
                match within(self.session.next()).await {
                    UpstreamEvent::Room => {}
                    event => events.push(event),
                }
            }
            self.session.send(message.kind, part, !rest.is_empty()).await;
            if rest.is_empty() {
                return events;
            }
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        assert!(self.session.has_room());
        self.session.send(MessageKind::Text, text.to_owned().into(), false).await;
    }

    pub(crate) async fn receive_text(&mut self) -> String {
        match self.event().await {
            UpstreamEvent::Message(message) => String::from_utf8(message.data.to_vec()).unwrap(),
            event => panic!("{event:?}"),
        }
    }

    /// The next event other than a change of room.
    pub(crate) async fn event(&mut self) -> UpstreamEvent {
        loop {
            match within(self.session.next()).await {
                UpstreamEvent::Room => {}
                event => return event,
            }
        }
    }

    pub(crate) async fn closed(&mut self) -> Close {
        match self.event().await {
            UpstreamEvent::Close(close) => close,
            event => panic!("{event:?}"),
        }
    }
}

/// The pushes that a client received.
#[derive(Default)]
pub(crate) struct Pushed {
    messages: Mutex<Vec<Message>>,
    closed: Mutex<Option<Close>>,
}

impl ClientSink for Pushed {
    fn deliver(&self, delivery: &Push) {
        self.messages.lock().unwrap().push(delivery.message().clone());
    }

    fn close(&self, close: Close) {
        *self.closed.lock().unwrap() = Some(close);
    }
}

impl Pushed {
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |message: &Message| String::from_utf8_lossy(&message.data).into_owned();
        self.messages.lock().unwrap().iter().map(text).collect()
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    pub(crate) fn close(&self) -> Option<Close> {
        self.closed.lock().unwrap().clone()
    }
}

pub(crate) fn refusing(status: u16) -> Response<crate::fixture::ServiceBody> {
    Response::builder().status(status).header("x-why", "because").body(full("not you")).unwrap()
}
