//! Every kind of frame at every subject that a stranger could publish to, seen from the other side of the bus.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use h8s_nats::{ExchangeError, Refused};
use h8s_wire::{
    AbortCode, ExchangeId, Frame, GatewayId, HeadFrame, HeadKind, Inbox, Kind, MessageFlags, RefusedCode,
    ResponderId, ResponseHead, Subjects, Sync, SyncEntry,
};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::Notify;

use crate::fixture::{
    Bus, body, exchange, full, get, host, interest, over_both_buses, requester, responder, within,
};

/// One frame of each kind, each at the wrong time.
fn each_kind(head: HeadFrame) -> Vec<Frame> {
    let sequence = 0;
    let all = vec![
        Frame::Head(head),
        Frame::Data { sequence, bytes: Bytes::from_static(b"x") },
        Frame::End { sequence, trailers: HeaderMap::new() },
        Frame::Abort { code: AbortCode::Failed, reason: "no".into() },
        Frame::Credit { limit: 1 << 20, handled: 0 },
        Frame::Cancel,
        // From a newer responder: an unknown code.
        Frame::Refused(RefusedCode::Other(99)),
        Frame::Sync(Sync::default()),
        Frame::Message { sequence, flags: MessageFlags::default(), bytes: Bytes::new() },
        Frame::Close { sequence, code: 1000, reason: String::new() },
        Frame::Resend { from: 0 },
    ];
    assert_eq!(all.len(), Kind::ALL.len());
    all
}

fn response_head(end: bool, first: &'static str) -> HeadFrame {
    let head = ResponseHead { status: StatusCode::OK, ..ResponseHead::default() };
    HeadFrame {
        head: HeadKind::Response(head),
        end,
        limit: 1 << 20,
        body: Bytes::from_static(first.as_bytes()),
    }
}

pub(crate) fn request_head(end: bool) -> HeadFrame {
    let head = h8s_wire::RequestHead {
        method: http::Method::POST,
        scheme: http::uri::Scheme::HTTP,
        authority: "app.example".parse().unwrap(),
        target: "/".parse().unwrap(),
        headers: HeaderMap::new(),
        protocol: None,
        connection: None,
        client: None,
        timeout: None,
    };
    HeadFrame { head: HeadKind::Request(Box::new(head)), end, limit: 1 << 20, body: Bytes::new() }
}

/// A hand-made gateway: an inbox, and a way to publish raw frames.
pub(crate) struct Gateway {
    client: Client,
    inbox: Inbox,
    messages: Subscriber,
    pub(crate) opening: Subject,
    /// The sender of the last frame.
    pub(crate) peer: Option<Subject>,
}

impl Gateway {
    pub(crate) async fn new(bus: &Bus) -> Self {
        Self::with_id(bus, 9).await
    }

    async fn with_id(bus: &Bus, id: u8) -> Self {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let inbox = Subjects::default().gateway_inbox(GatewayId::from_bytes([id; 16]));
        let messages = client.subscribe(inbox.all().into_string()).await.unwrap();
        let opening = Subjects::default().exchange(&interest("/*")).into_string().into();
        Self { client, inbox, messages, opening, peer: None }
    }

    pub(crate) async fn send(&self, to: &Subject, exchange: u8, message: Bytes) {
        let own = self.inbox.exchange(ExchangeId::from_bytes([exchange; 16])).into_string();
        self.client.publish_with_reply(to.clone(), own, message).await.unwrap();
    }

    async fn open(&mut self, exchange: u8, end: bool) -> Message {
        let opening = self.opening.clone();
        self.send(&opening, exchange, Frame::Head(request_head(end)).encode().unwrap()).await;
        within(self.messages.next()).await.unwrap()
    }

    pub(crate) async fn next(&mut self) -> Frame {
        let message = within(self.messages.next()).await.unwrap();
        self.peer = message.reply;
        Frame::decode(message.payload).unwrap()
    }

    /// Returns after all effects of earlier frames have arrived.
    async fn nothing_came(&mut self, mark: u8) {
        let opening = self.opening.clone();
        self.send(&opening, mark, Bytes::from_static(b"\xee")).await;
        let next = self.next().await;
        assert!(matches!(next, Frame::Abort { code: AbortCode::Unsupported, .. }), "{next:?}");
    }
}

over_both_buses! {
    async fn a_responder_answers_frames_of_unknown_exchanges_with_abort(bus) {
        let _responder = responder(&bus.url(), "/*", |_| async { Ok(Response::new(full("well"))) }).await;
        let mut gateway = Gateway::new(&bus).await;
        // Learns the responder's inbox from its first answer, as a gateway does.
        let accepted = gateway.open(1, false).await;
        assert!(matches!(Frame::decode(accepted.payload).unwrap(), Frame::Credit { .. }));
        let theirs = Inbox::of_exchange(accepted.reply.as_ref().unwrap()).unwrap();
        // The answer and the notice that the body is not wanted, in either order.
        let mut kinds = [gateway.next().await, gateway.next().await].map(|frame| matches!(frame, Frame::Head(_)));
        kinds.sort_unstable();
        assert_eq!(kinds, [false, true]);

        for frame in each_kind(request_head(false)) {
            let unknown = Subject::from(theirs.exchange(ExchangeId::from_bytes([2; 16])).into_string());
            gateway.send(&unknown, 2, frame.encode().unwrap()).await;
            match frame {
                Frame::Abort { .. } | Frame::Cancel | Frame::Refused(_) => gateway.nothing_came(3).await,
                _ => assert!(
                    matches!(gateway.next().await, Frame::Abort { code: AbortCode::Unknown, .. }),
                    "{frame:?}"
                ),
            }
        }
        let sync = Sync { answer_wanted: true, entries: vec![SyncEntry { exchange: ExchangeId::from_bytes([4; 16]), sent: 1, received: 0, limit: 0 }] };
        let sync = Frame::Sync(sync).encode().unwrap();
        let own = gateway.inbox.sync().into_string();
        gateway.client.publish_with_reply(theirs.sync().into_string(), own, sync).await.unwrap();
        assert!(matches!(gateway.next().await, Frame::Abort { code: AbortCode::Unknown, .. }));
    }

    async fn a_responder_refuses_openings_that_are_none(bus) {
        let _responder = responder(&bus.url(), "/*", |_| async { Ok(Response::new(full("well"))) }).await;
        let mut gateway = Gateway::new(&bus).await;
        let opening = gateway.opening.clone();
        let later_version = Bytes::from_static(&[1, 2, 0, 0]);
        for (message, expected) in [
            (Bytes::new(), AbortCode::Malformed),
            (Bytes::from_static(b"\x01"), AbortCode::Malformed),
            (Bytes::from_static(b"\xee"), AbortCode::Unsupported),
            (later_version, AbortCode::Unsupported),
            (Frame::Cancel.encode().unwrap(), AbortCode::Malformed),
            (Frame::Head(response_head(true, "")).encode().unwrap(), AbortCode::Malformed),
            (Bytes::from(vec![1; 200_000]), AbortCode::Malformed),
        ] {
            gateway.send(&opening, 5, message).await;
            let answer = gateway.next().await;
            assert!(matches!(answer, Frame::Abort { code, .. } if code == expected), "{answer:?}, not {expected}");
        }
        assert!(matches!(Frame::decode(gateway.open(6, true).await.payload).unwrap(), Frame::Head(_)), "well after all");
    }

    async fn a_responder_answers_to_gateways_only(bus) {
        let _responder = responder(&bus.url(), "/*", |_| async { Ok(Response::new(full("well"))) }).await;
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut everything = client.subscribe(">").await.unwrap();
        let opening = Subjects::default().exchange(&interest("/*")).into_string();
        for reply in ["evil", "h8s.control.gateway.x", "h8s.inbox.gw.x.y", "h8s.inbox.r.example.app._.x.y"] {
            client.publish_with_reply(opening.clone(), reply, Frame::Head(request_head(true)).encode().unwrap()).await.unwrap();
        }
        let mut gateway = Gateway::new(&bus).await;
        gateway.open(7, true).await;
        let mut seen = 0;
        while seen < 6 {
            let message = within(everything.next()).await.unwrap();
            if message.subject.as_str() == opening {
                seen += 1;
            } else if message.subject.starts_with("h8s.inbox.gw.0909") {
                assert_eq!(seen, 5, "everything that it answers has been seen");
                seen += 1;
            } else {
                assert!(message.subject.starts_with("h8s.control.interest."), "{}", message.subject);
            }
        }
    }

    async fn a_responder_is_sent_too_much(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            Ok(Response::new(body(request.into_body())))
        })
        .await;
        for (id, (frames, expected)) in (20..).zip([
            // More than any window, a gap, a repeat, a body's end before its head's turn.
            ((1..40).map(|sequence| (sequence, 120_000)).collect::<Vec<_>>(), AbortCode::OverLimit),
            (vec![(1, 10), (3, 10)], AbortCode::Lost),
            (vec![(1, 10), (1, 10)], AbortCode::Lost),
            (vec![(0, 10)], AbortCode::Lost),
        ]) {
            // Fresh ids: late frames of one exchange must not match the next one.
            let mut gateway = Gateway::with_id(&bus, id).await;
            let accepted = gateway.open(id, false).await;
            let theirs = accepted.reply.unwrap();
            for (sequence, bytes) in frames {
                let data = Frame::Data { sequence, bytes: vec![0; bytes].into() };
                gateway.send(&theirs, id, data.encode().unwrap()).await;
            }
            let code = loop {
                if let Frame::Abort { code, .. } = gateway.next().await {
                    break code;
                }
            };
            assert_eq!(code, expected);
        }
    }

    async fn an_end_needs_no_credit(bus) {
        // given a responder that does not read yet
        let may_read = Arc::new(Notify::new());
        let allowed = may_read.clone();
        let _responder = responder(&bus.url(), "/*", move |request| {
            let allowed = allowed.clone();
            async move {
                allowed.notified().await;
                let collected = request.into_body().collect().await?;
                Ok(Response::new(full(collected.trailers().unwrap()["x"].len().to_string())))
            }
        })
        .await;
        let mut gateway = Gateway::new(&bus).await;
        let theirs = gateway.open(9, false).await.reply.unwrap();
        // when a body uses up its window, and trailers follow that do not fit into it
        for sequence in 1..=4 {
            let data = Frame::Data { sequence, bytes: vec![0; 120_000].into() };
            gateway.send(&theirs, 9, data.encode().unwrap()).await;
        }
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("x"), "y".repeat(100_000).parse().unwrap())]);
        gateway.send(&theirs, 9, Frame::End { sequence: 5, trailers }.encode().unwrap()).await;
        may_read.notify_one();
        // then all of it is read
        let head = loop {
            match gateway.next().await {
                Frame::Credit { .. } => {}
                Frame::Head(head) => break head,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(head.body, "100000");
    }

    async fn a_gateway_takes_each_kind_as_a_first_frame(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let subjects = Subjects::default();
        let mut openings =
            client.queue_subscribe(subjects.exchange(&interest("/*")).into_string(), "h8s".into()).await.unwrap();
        let inbox = subjects.responder_inbox(&host(), ResponderId::from_bytes([8; 16]));
        client.flush().await.unwrap();
        let requester = requester(&bus.url()).await;
        let announcement = r#"{"host":"app.example","path":"/*","dialects":["native"]}"#;

        for frame in each_kind(response_head(true, "well")) {
            client.publish("h8s.control.interest.register.example.app", announcement.into()).await.unwrap();
            crate::fixture::eventually("announced", async || requester.announced_interests() == 1).await;
            let sending = tokio::spawn({
                let requester = requester.clone();
                async move { requester.send(&host(), get("/")).await }
            });
            let opening = within(openings.next()).await.unwrap();
            let gateway = opening.reply.unwrap();
            let own = inbox.exchange(Inbox::exchange_of(&gateway).unwrap()).into_string();
            let send = async |frame: &Frame| {
                client.publish_with_reply(gateway.clone(), own.clone(), frame.encode().unwrap()).await.unwrap();
            };
            send(&frame).await;
            match &frame {
                // These do not affect the response: it still arrives.
                Frame::Credit { .. } | Frame::Cancel | Frame::Sync(_) | Frame::Resend { .. } => {
                    send(&Frame::Head(response_head(true, "well"))).await;
                }
                // A refused exchange is tried elsewhere, five times.
                Frame::Refused(code) => {
                    for _ in 0..5 {
                        let again = within(openings.next()).await.unwrap().reply.unwrap();
                        let own = inbox.exchange(Inbox::exchange_of(&again).unwrap()).into_string();
                        client.publish_with_reply(again, own, Frame::Refused(*code).encode().unwrap()).await.unwrap();
                    }
                }
                _ => {}
            }
            let result = within(sending).await.unwrap();
            let as_expected = match &frame {
                Frame::Head(_) | Frame::Credit { .. } | Frame::Cancel | Frame::Sync(_) | Frame::Resend { .. } => {
                    result.is_ok()
                }
                Frame::Data { .. } | Frame::End { .. } | Frame::Message { .. } | Frame::Close { .. } => {
                    matches!(result, Err(ExchangeError::InvalidResponse(_)))
                }
                Frame::Abort { .. } => matches!(result, Err(ExchangeError::Aborted { code: AbortCode::Failed, .. })),
                Frame::Refused(_) => matches!(result, Err(ExchangeError::Refused(Refused::Busy))),
            };
            assert!(as_expected, "{frame:?}: {result:?}");
        }
    }

    async fn a_gateway_is_answered_from_elsewhere(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut evil = client.subscribe("evil.>").await.unwrap();
        let subjects = Subjects::default();
        let mut openings =
            client.queue_subscribe(subjects.exchange(&interest("/*")).into_string(), "h8s".into()).await.unwrap();
        let announcement = r#"{"host":"app.example","path":"/*","dialects":["native"]}"#;
        client.flush().await.unwrap();
        let requester = requester(&bus.url()).await;
        client.publish("h8s.control.interest.register.example.app", announcement.into()).await.unwrap();
        crate::fixture::eventually("announced", async || requester.announced_interests() == 1).await;

        let sending = tokio::spawn({
            let requester = requester.clone();
            async move { exchange(&requester, get("/")).await }
        });
        let gateway = within(openings.next()).await.unwrap().reply.unwrap();
        let id = Inbox::exchange_of(&gateway).unwrap();
        let other_host = subjects.responder_inbox(&"other.example".parse().unwrap(), ResponderId::from_bytes([8; 16]));
        for reply in ["evil.reply", other_host.exchange(id).as_str()] {
            let forged = Frame::Head(response_head(true, "forged")).encode().unwrap();
            client.publish_with_reply(gateway.clone(), reply.to_owned(), forged).await.unwrap();
        }
        let own = subjects.responder_inbox(&host(), ResponderId::from_bytes([8; 16])).exchange(id).into_string();
        let genuine = Frame::Head(response_head(true, "genuine")).encode().unwrap();
        client.publish_with_reply(gateway, own, genuine).await.unwrap();

        assert_eq!(within(sending).await.unwrap().body(), "genuine");
        assert!(tokio::time::timeout(Duration::from_millis(100), evil.next()).await.is_err(), "nothing is sent there");
    }
}
