//! The baseline without h8s: `async_nats` request and reply, with the same headers and bytes.
//!
//! It is the cost of any program on NATS: its client, the broker, two sockets and the scheduler.

use std::sync::Arc;

use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use h8s_benches::Exchange;
use h8s_test_support::Bus;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::streams::{PIECES, pieces};

const SUBJECT: &str = "baseline.unary";
const STREAM: &str = "baseline.stream";

/// A requester and a responder, each on its own connection.
pub(crate) struct Yardstick {
    call: Call,
    /// Stops when dropped.
    _responder: JoinSet<()>,
}

impl Yardstick {
    /// Responds to `request` with `response`.
    pub(crate) async fn start(
        bus: &Bus,
        request: (&http::HeaderMap, Bytes),
        response: (&http::HeaderMap, Bytes),
    ) -> Self {
        let responder = connect(bus).await;
        let mut requests = responder.subscribe(SUBJECT).await.expect("the bus takes subscriptions");
        let replying = responder.clone();
        let answer = (nats_headers(response.0), response.1);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(message) = requests.next().await {
                reply(&replying, message, &answer).await;
            }
        });
        // On the same connection, so after the subscription.
        responder.request(SUBJECT, Bytes::new()).await.expect("the responder answers");
        let (headers, body) = request;
        let call = Call { client: connect(bus).await, headers: nats_headers(headers), body };
        Self { call, _responder: tasks }
    }

    /// The request.
    pub(crate) fn call(&self) -> Call {
        self.call.clone()
    }
}

/// A request and its reply.
#[derive(Clone)]
pub(crate) struct Call {
    client: Client,
    headers: HeaderMap,
    body: Bytes,
}

impl Exchange for Call {
    async fn run(&self) {
        let reply = self.client.request_with_headers(SUBJECT, self.headers.clone(), self.body.clone()).await;
        reply.expect("the responder answers");
    }
}

async fn reply(client: &Client, message: Message, (headers, body): &(HeaderMap, Bytes)) {
    let to = message.reply.expect("a request wants a reply");
    let sent = match headers.is_empty() {
        true => client.publish(to, body.clone()).await,
        false => client.publish_with_headers(to, headers.clone(), body.clone()).await,
    };
    sent.expect("the bus takes messages");
}

/// One-way messages, without flow control, checks or an end.
#[derive(Clone)]
pub(crate) struct Pipe {
    publisher: Client,
    subscriber: Arc<Mutex<Subscriber>>,
}

impl Pipe {
    pub(crate) async fn start(bus: &Bus) -> Self {
        let (publisher, receiver) = (connect(bus).await, connect(bus).await);
        let mut subscriber = receiver.subscribe(STREAM).await.expect("the bus takes subscriptions");
        receiver.publish(STREAM, Bytes::new()).await.expect("the bus takes messages");
        subscriber.next().await.expect("the bus has the subscription");
        Self { publisher, subscriber: Arc::new(Mutex::new(subscriber)) }
    }
}

impl Exchange for Pipe {
    async fn run(&self) {
        let publisher = self.publisher.clone();
        let sending = tokio::spawn(async move {
            for piece in pieces() {
                publisher.publish(STREAM, piece).await.expect("the bus takes messages");
            }
        });
        let mut subscriber = self.subscriber.lock().await;
        for _ in 0..PIECES {
            subscriber.next().await.expect("the bus continues");
        }
        sending.await.expect("sending ends well");
    }
}

async fn connect(bus: &Bus) -> Client {
    async_nats::connect(bus.url()).await.expect("the bus can be connected to")
}

fn nats_headers(headers: &http::HeaderMap) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.as_str().parse().expect("NATS takes HTTP's names");
        let value: HeaderValue = value.to_str().expect("it is text").parse().expect("it is one line");
        all.append(name, value);
    }
    all
}
