//! `Expect: 100-continue`: a body that the responder does not read is not sent (`PROTOCOL.md §5`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use h8s_nats::{BoxError, ExchangeError, Refused, Requester, RequesterConfig, Responder};
use h8s_test_support::fault_proxy::{FaultProxy, Faults};
use h8s_wire::{
    AbortCode, ExchangeId, Frame, HeadFrame, HeadKind, Inbox, ResponderId, ResponseHead, Subjects, Sync,
    SyncEntry,
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};

use crate::fixture::{
    Bus, ServiceBody, body, eventually, exchange, full, host, interest, link, over_both_buses, request,
    requester, requester_with, responder, service, within,
};
use crate::frames::{Gateway, request_head};

/// A body that records its first poll, at which a server sends 100, and a drop without a poll.
struct Watched {
    inner: ServiceBody,
    is_read: Arc<AtomicBool>,
    _held: oneshot::Sender<()>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        self.is_read.store(true, Ordering::SeqCst);
        Pin::new(&mut self.inner).poll_frame(cx)
    }
}

/// A request whose client waits for 100; whether its body has been polled; and a notice of its drop.
fn expecting(text: &'static str) -> (Request<ServiceBody>, Arc<AtomicBool>, oneshot::Receiver<()>) {
    let is_read = Arc::new(AtomicBool::new(false));
    let (held, dropped) = oneshot::channel();
    let watched = Watched { inner: full(text), is_read: is_read.clone(), _held: held };
    let mut request = request("POST", "/", body(watched));
    request.headers_mut().insert("expect", "100-Continue".parse().unwrap());
    (request, is_read, dropped)
}

/// A hand-made responder whose interest the gateway has received.
pub(crate) struct ByHand {
    client: async_nats::Client,
    openings: async_nats::Subscriber,
    frames: async_nats::Subscriber,
    inbox: Inbox,
    pub(crate) requester: Requester,
}

impl ByHand {
    async fn start(bus: &Bus) -> Self {
        let patient = RequesterConfig::default().request_timeout(Duration::from_secs(10));
        Self::start_with(bus, patient).await
    }

    pub(crate) async fn start_with(bus: &Bus, config: RequesterConfig) -> Self {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let subjects = Subjects::default();
        let inbox = subjects.responder_inbox(&host(), ResponderId::from_bytes([8; 16]));
        let opening = subjects.exchange(&interest("/*")).into_string();
        let openings = client.queue_subscribe(opening, "h8s".into()).await.unwrap();
        let frames = client.subscribe(inbox.all().into_string()).await.unwrap();
        client.flush().await.unwrap();
        let requester = requester_with(&bus.url(), config).await;
        let announcement = r#"{"host":"app.example","path":"/*","dialects":["native"]}"#;
        client.publish("h8s.control.interest.register.example.app", announcement.into()).await.unwrap();
        eventually("announced", async || requester.announced_interests() == 1).await;
        Self { client, openings, frames, inbox, requester }
    }

    /// The next request's head, its reply subject and its id.
    pub(crate) async fn opening(&mut self) -> (HeadFrame, async_nats::Subject, ExchangeId) {
        let message = within(self.openings.next()).await.unwrap();
        let gateway = message.reply.unwrap();
        let id = Inbox::exchange_of(&gateway).unwrap();
        match Frame::decode(message.payload).unwrap() {
            Frame::Head(head) => (head, gateway, id),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn say(&self, gateway: &async_nats::Subject, id: ExchangeId, frame: &Frame) {
        let own = self.inbox.exchange(id).into_string();
        self.client.publish_with_reply(gateway.clone(), own, frame.encode().unwrap()).await.unwrap();
    }

    pub(crate) async fn next_frame(&mut self) -> Frame {
        loop {
            match Frame::decode(within(self.frames.next()).await.unwrap().payload).unwrap() {
                Frame::Sync(_) => {}
                frame => return frame,
            }
        }
    }
}

pub(crate) fn accepted() -> Frame {
    Frame::Credit { limit: 0, handled: 1 }
}

fn granted(limit: u64) -> Frame {
    Frame::Credit { limit, handled: 1 }
}

pub(crate) fn well() -> Frame {
    let head = ResponseHead { status: StatusCode::OK, ..ResponseHead::default() };
    Frame::Head(HeadFrame { head: HeadKind::Response(head), end: true, limit: 0, body: Bytes::new() })
}

over_both_buses! {
    async fn a_body_is_requested_when_the_handler_begins_to_read(bus) {
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let _responder = responder(&bus.url(), "/*", move |request| {
            let arrived = arrived.clone();
            async move {
                assert_eq!(request.headers()["expect"], "100-Continue");
                let (go, wait) = oneshot::channel::<()>();
                arrived.send(go).unwrap();
                wait.await?;
                Ok(Response::new(full(request.into_body().collect().await?.to_bytes())))
            }
        })
        .await;
        let requester = requester(&bus.url()).await;
        let (request, is_read, _) = expecting("hello");
        let sender = requester.clone();
        let sending = tokio::spawn(async move { exchange(&sender, request).await });

        let go = within(arrivals.recv()).await.unwrap();
        // By then the first accept would have released it: another exchange has completed after it.
        let (other, _, _) = expecting("other");
        let second = tokio::spawn({ let requester = requester.clone(); async move { exchange(&requester, other).await } });
        within(arrivals.recv()).await.unwrap().send(()).unwrap();
        assert_eq!(within(second).await.unwrap().body(), "other");
        assert!(!is_read.load(Ordering::SeqCst), "the responder has not read yet");
        go.send(()).unwrap();

        assert_eq!(within(sending).await.unwrap().body(), "hello");
    }

    async fn t6_an_answer_without_reading_never_asks_for_the_body(bus) {
        let _responder = responder(&bus.url(), "/*", |_| async {
            // After the accept.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Ok(Response::builder().status(401).body(full("who are you?"))?)
        })
        .await;
        let requester = requester(&bus.url()).await;
        let (request, is_read, dropped) = expecting("secret");

        let response = exchange(&requester, request).await;

        assert_eq!((response.status().as_u16(), response.body().as_ref()), (401, &b"who are you?"[..]));
        assert!(within(dropped).await.is_err(), "the body is given up");
        assert!(!is_read.load(Ordering::SeqCst));
        eventually("nothing is left", async || requester.open_exchanges() == 0).await;
    }

    async fn a_refusal_after_the_accept_leaves_the_body_for_others(bus) {
        let attempts = Arc::new(AtomicUsize::new(0));
        let _responder = responder(&bus.url(), "/*", move |request| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                match attempt {
                    0 => Err(Refused::Unreachable.into()),
                    _ => Ok(Response::new(full(request.into_body().collect().await?.to_bytes()))),
                }
            }
        })
        .await;
        let requester = requester(&bus.url()).await;

        let (request, _, _) = expecting("again");

        assert_eq!(exchange(&requester, request).await.body(), "again");
    }

    async fn a_request_without_a_body_expects_nothing(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            Ok(Response::new(full(format!("{:?}", request.headers().get("expect")))))
        })
        .await;
        let requester = requester(&bus.url()).await;
        for (expect, text) in [("100-continue", ""), ("something-else", "body")] {
            let mut request = request("POST", "/", full(text));
            request.headers_mut().insert("expect", expect.parse().unwrap());
            assert_eq!(exchange(&requester, request).await.body(), "None", "{expect}");
        }
    }

    async fn the_plain_dialect_needs_the_body_at_once(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut requests = client.subscribe("h8s.http.*.example.app._").await.unwrap();
        client.flush().await.unwrap();
        let requester = requester(&bus.url()).await;
        let (request, _, _) = expecting("plain");
        let sending = tokio::spawn(async move { exchange(&requester, request).await });
        let message = within(requests.next()).await.unwrap();
        assert_eq!((message.payload.as_ref(), message.headers.unwrap().get("Expect")), (&b"plain"[..], None));
        client.publish(message.reply.unwrap(), "".into()).await.unwrap();
        assert_eq!(within(sending).await.unwrap().status(), StatusCode::OK);
    }

    async fn a_gateway_sends_nothing_before_credit_and_a_lost_grant_is_repaired_by_sync(bus) {
        let mut responder = ByHand::start(&bus).await;
        let (request, is_read, _) = expecting("hello");
        let requester = responder.requester.clone();
        let sending = tokio::spawn(async move { requester.send(&host(), request).await });
        let (head, gateway, id) = responder.opening().await;
        assert!(!head.end && head.body.is_empty());
        responder.say(&gateway, id, &accepted()).await;
        // The CREDIT that releases the body is lost. A SYNC repairs it, and earlier frames stay in order.
        let entry = |limit| SyncEntry { exchange: id, sent: 0, received: 1, limit };
        let theirs = Inbox::of_exchange(&gateway).unwrap();
        for limit in [0, 1 << 20] {
            assert!(!is_read.load(Ordering::SeqCst));
            let sync = Frame::Sync(Sync { answer_wanted: true, entries: vec![entry(limit)] }).encode().unwrap();
            let own = responder.inbox.sync().into_string();
            responder.client.publish_with_reply(theirs.sync().into_string(), own, sync).await.unwrap();
            // This answer arrives after all effects of the first frame.
            loop {
                let frame = Frame::decode(within(responder.frames.next()).await.unwrap().payload).unwrap();
                match frame {
                    Frame::Sync(sync) if sync.entries.iter().any(|entry| entry.exchange == id) => break,
                    other => assert!(limit > 0, "{other:?}"),
                }
            }
        }
        eventually("it is read", async || is_read.load(Ordering::SeqCst)).await;
        responder.say(&gateway, id, &well()).await;
        assert_eq!(within(sending).await.unwrap().unwrap().status(), StatusCode::OK);
    }

    async fn a_grant_that_falls_into_an_outage_comes_after_it(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let link = link(&proxy.url()).await;
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let (began, mut begins) = mpsc::unbounded_channel();
        let reading = service(move |request| {
            let (arrived, began) = (arrived.clone(), began.clone());
            async move {
                let (go, wait) = oneshot::channel::<()>();
                arrived.send(go).unwrap();
                wait.await?;
                let mut body = request.into_body();
                let first = tokio::time::timeout(std::time::Duration::ZERO, body.frame()).await;
                began.send(first.is_err()).unwrap();
                Ok(Response::new(full(body.collect().await?.to_bytes())))
            }
        });
        let _responder = Responder::builder(link.clone()).serve(interest("/*"), reading).start().await.unwrap();
        let requester = requester(&bus.url()).await;
        let (first, second) = (expecting("hello").0, request("POST", "/", full("")));
        let sending = tokio::spawn({ let requester = requester.clone(); async move { exchange(&requester, first).await } });
        let go = within(arrivals.recv()).await.unwrap();
        // This answer arrives after the accept of the first.
        let behind = tokio::spawn({ let requester = requester.clone(); async move { exchange(&requester, second).await } });
        within(arrivals.recv()).await.unwrap().send(()).unwrap();
        within(behind).await.unwrap();
        within(begins.recv()).await.unwrap();

        proxy.refuse(true);
        proxy.cut();
        eventually("NATS is away", async || !link.is_connected()).await;
        go.send(()).unwrap();
        assert!(within(begins.recv()).await.unwrap(), "nothing is there yet");
        proxy.heal();

        assert_eq!(within(sending).await.unwrap().body(), "hello");
    }

    async fn a_responder_that_grants_at_once_gets_the_body_at_once(bus) {
        let mut responder = ByHand::start(&bus).await;
        let (request, _, _) = expecting("hello");
        let requester = responder.requester.clone();
        let sending = tokio::spawn(async move { requester.send(&host(), request).await });
        let (_, gateway, id) = responder.opening().await;
        responder.say(&gateway, id, &granted(1 << 20)).await;
        assert_eq!(responder.next_frame().await, Frame::Data { sequence: 1, bytes: "hello".into() });
        assert_eq!(responder.next_frame().await, Frame::End { sequence: 2, trailers: HeaderMap::new() });
        responder.say(&gateway, id, &well()).await;
        assert_eq!(within(sending).await.unwrap().unwrap().status(), StatusCode::OK);
    }

    async fn a_responder_that_dies_before_it_reads_is_noticed(bus) {
        let mut responder = ByHand::start(&bus).await;
        let (request, is_read, dropped) = expecting("hello");
        let requester = responder.requester.clone();
        let sending = tokio::spawn(async move { requester.send(&host(), request).await });
        let (_, gateway, id) = responder.opening().await;
        responder.say(&gateway, id, &accepted()).await;
        let stopping = Frame::Abort { code: AbortCode::Stopping, reason: String::new() };
        responder.say(&gateway, id, &stopping).await;

        let error = within(sending).await.unwrap().unwrap_err();

        assert!(matches!(error, ExchangeError::Aborted { code: AbortCode::Stopping, .. }), "{error:?}");
        assert!(within(dropped).await.is_err() && !is_read.load(Ordering::SeqCst));
    }

    async fn a_responder_accepts_with_nothing_and_grants_at_the_first_read(bus) {
        let (go, wait) = tokio::sync::watch::channel(false);
        let _responder = responder(&bus.url(), "/*", move |request| {
            let mut wait = wait.clone();
            async move {
                wait.wait_for(|go| *go).await?;
                Ok(Response::new(full(request.into_body().collect().await?.to_bytes())))
            }
        })
        .await;
        let mut gateway = Gateway::new(&bus).await;
        let mut head = request_head(false);
        if let HeadKind::Request(head) = &mut head.head {
            head.headers.insert("expect", "100-continue".parse().unwrap());
        }
        let opening = gateway.opening.clone();
        gateway.send(&opening, 1, Frame::Head(head.clone()).encode().unwrap()).await;
        assert_eq!(gateway.next().await, accepted());
        go.send(true).unwrap();
        assert!(matches!(gateway.next().await, Frame::Credit { limit: 262_144.., handled: 1 }));

        // A client that does not wait exceeds its limit.
        go.send(false).unwrap();
        gateway.send(&opening, 2, Frame::Head(head).encode().unwrap()).await;
        assert_eq!(gateway.next().await, accepted());
        let inbox = gateway.peer.clone().unwrap();
        gateway.send(&inbox, 2, Frame::Data { sequence: 1, bytes: "x".into() }.encode().unwrap()).await;
        assert!(matches!(gateway.next().await, Frame::Abort { code: AbortCode::OverLimit, .. }));
    }
}
