//! The plain dialect: any NATS client is a responder.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt;
use h8s_nats::{BodyError, BoxError, ExchangeError, Refused, RequesterConfig};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use crate::fixture::{
    Bus, body, eventually, exchange, full, get, host, over_both_buses, request, requester, requester_with,
    responder, within,
};

pub(crate) const EVERYTHING: &str = "h8s.http.*.example.app._.>";

/// A client that answers each message on `subject` with the headers and payloads that `answer` returns, in order.
pub(crate) async fn subscriber<F>(bus: &Bus, subject: &'static str, answer: F) -> Client
where
    F: Fn(&async_nats::Message) -> Vec<(Vec<(&'static str, &'static str)>, Bytes)> + Send + 'static,
{
    let client = async_nats::connect(bus.url()).await.unwrap();
    let mut messages = client.queue_subscribe(subject, "q".into()).await.unwrap();
    let replies = client.clone();
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            for (fields, payload) in answer(&message) {
                let mut headers = HeaderMap::new();
                fields.into_iter().for_each(|(name, value)| headers.append(name, value));
                replies.publish_with_headers(message.reply.clone().unwrap(), headers, payload).await.unwrap();
            }
        }
    });
    // A flush is not a round trip; a request without a responder is.
    let answer = client.request("no.responder", "".into()).await;
    assert!(answer.is_err());
    client
}

over_both_buses! {
    async fn a_subscriber_gets_the_exact_head_and_its_reply_is_the_response(bus) {
        let (seen, mut requests) = mpsc::unbounded_channel();
        let _subscriber = subscriber(&bus, EVERYTHING, move |message| {
            seen.send(message.clone()).unwrap();
            vec![(vec![("Status-Code", "201"), ("X-Two", "1"), ("X-Two", "2")], "answer".into())]
        })
        .await;
        let requester = requester(&bus.url()).await;
        let mut request = request("POST", "/a%2Fb//c.d?x=%20&y", full("hello"));
        for value in ["1", "2"] {
            request.headers_mut().append("x-two", HeaderValue::from_static(value));
        }
        let response = exchange(&requester, request).await;

        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers().get_all("x-two").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(response.body(), "answer");
        let message = requests.recv().await.unwrap();
        assert_eq!(message.subject.as_str(), "h8s.http.POST.example.app._.a%2Fb.c%2Ed");
        let headers = message.headers.unwrap();
        for (name, value) in [
            ("Host", "app.example"),
            ("X-H8s-Original-Method", "POST"),
            ("X-H8s-Original-Path", "/a%2Fb//c.d"),
            ("X-H8s-Original-Query", "x=%20&y"),
            ("X-H8s-PublishSubject", message.subject.as_str()),
            ("X-H8s-ReplySubject", message.reply.as_ref().unwrap().as_str()),
        ] {
            assert_eq!(headers.get(name).map(|value| value.as_str()), Some(value), "{name}");
        }
        assert_eq!(headers.get_all("X-Two").count(), 2);
        assert_eq!(message.payload, "hello");
    }

    async fn one_bare_reply_is_the_whole_response(bus) {
        let _subscriber = subscriber(&bus, EVERYTHING, |_| vec![(vec![], "bare".into())]).await;
        let requester = requester(&bus.url()).await;
        let response = exchange(&requester, get("/x")).await;
        assert_eq!((response.status(), response.body().as_ref()), (StatusCode::OK, &b"bare"[..]));
    }

    async fn pieces_until_an_empty_one(bus) {
        let _subscriber = subscriber(&bus, EVERYTHING, |_| {
            vec![
                (vec![("H8s-More", "true"), ("Status-Code", "203")], "one ".into()),
                (vec![], "two ".into()),
                (vec![], "three".into()),
                (vec![], "".into()),
            ]
        })
        .await;
        let requester = requester(&bus.url()).await;
        let response = exchange(&requester, get("/x")).await;
        assert_eq!(response.status(), StatusCode::NON_AUTHORITATIVE_INFORMATION);
        assert_eq!(response.body(), "one two three");
        assert_eq!(requester.open_exchanges(), 0);
    }

    async fn pieces_that_cease_end_visibly(bus) {
        let _subscriber =
            subscriber(&bus, EVERYTHING, |_| vec![(vec![("H8s-More", "true")], "one ".into())]).await;
        let timeout = RequesterConfig::default().request_timeout(Duration::from_millis(300));
        let requester = requester_with(&bus.url(), timeout).await;
        let response = requester.send(&host(), get("/x")).await.unwrap();
        let error = within(response.into_body().collect()).await.map(drop).unwrap_err();
        assert!(matches!(error, BodyError::Timeout), "{error:?}");
    }

    async fn pieces_faster_than_their_reader_end_visibly(bus) {
        let _subscriber = subscriber(&bus, EVERYTHING, |_| {
            let piece = Bytes::from(vec![b'x'; 512 * 1024]);
            let mut pieces = vec![(vec![("H8s-More", "true")], piece.clone())];
            pieces.extend((0..64).map(|_| (vec![], piece.clone())));
            pieces.push((vec![], "".into()));
            pieces
        })
        .await;
        let requester = requester(&bus.url()).await;
        let response = requester.send(&host(), get("/x")).await.unwrap();
        let mut body = response.into_body();
        // Does not read until all messages must have arrived.
        let other = subscriber(&bus, "h8s.http.*.example.other._.>", |_| vec![(vec![], "".into())]).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        drop(other);
        let mut received = 0;
        let error = loop {
            match within(body.frame()).await.expect("an end without an error is a lie") {
                Ok(frame) => received += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, BodyError::Overflow { .. }), "{error:?}");
        assert!(received < 64 * 512 * 1024);
    }

    async fn the_subscriber_is_notified_when_the_client_leaves(bus) {
        let client = subscriber(&bus, EVERYTHING, |_| vec![(vec![("H8s-More", "true")], "one ".into())]).await;
        let mut notices = client.subscribe("h8s.inbox.r.example.app._.closed.*").await.unwrap();
        let _ = client.request("no.responder", "".into()).await;
        let requester = requester(&bus.url()).await;
        let response = requester.send(&host(), get("/x")).await.unwrap();
        drop(response);
        within(notices.next()).await.unwrap();
    }

    async fn an_answer_that_is_not_valid_http_is_a_visible_error(bus) {
        // T3, T4
        let _subscriber = subscriber(&bus, EVERYTHING, |message| {
            let fields = match message.subject.as_str().rsplit('.').next().unwrap() {
                "status" => vec![("Status-Code", "1000")],
                "length" => vec![("Content-Length", "7")],
                "coding" => vec![("Transfer-Encoding", "gzip")],
                "name" => vec![("a(b", "x")],
                _ => vec![("Nats-Rollup", "all"), ("X-H8s-ReplySubject", "x"), ("Connection", "x-a"), ("X-A", "1"), ("X-B", "1")],
            };
            vec![(fields, "x".into())]
        })
        .await;
        let requester = requester(&bus.url()).await;
        for path in ["/status", "/length", "/coding", "/name"] {
            let error = requester.send(&host(), get(path)).await.unwrap_err();
            assert!(matches!(error, ExchangeError::InvalidResponse(_)), "{path}: {error:?}");
        }
        let response = exchange(&requester, get("/reserved")).await;
        assert_eq!(response.headers().keys().collect::<Vec<_>>(), ["x-b"]);
    }

    async fn a_request_that_the_dialect_cannot_carry_is_refused(bus) {
        let _subscriber = subscriber(&bus, EVERYTHING, |_| vec![(vec![], "never".into())]).await;
        let requester = requester(&bus.url()).await;
        let mut latin = get("/x");
        latin.headers_mut().insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let error = requester.send(&host(), latin).await.unwrap_err();
        assert!(matches!(&error, ExchangeError::InvalidRequest(why) if why.to_string().contains("x-latin")), "{error:?}");
        let large = full(vec![0; 9 * 1024 * 1024]);
        let error = requester.send(&host(), request("POST", "/x", large)).await.unwrap_err();
        assert!(matches!(error, ExchangeError::BodyTooLarge { .. }), "{error:?}");
    }

    async fn a_prompt_asks_a_native_responder(bus) {
        let _responder = responder(&bus.url(), "/api/*", |request| async move {
            let target = request.uri().to_string();
            Ok(Response::builder().status(202).header("x-target", target).body(body(request.into_body()))?)
        })
        .await;
        let client = async_nats::connect(bus.url()).await.unwrap();
        let reply = client.request("h8s.http.PUT.example.app._.api.a%2Eb", "hello".into()).await.unwrap();
        let headers = reply.headers.unwrap();
        assert_eq!(headers.get("Status-Code").unwrap().as_str(), "202");
        assert_eq!(headers.get("X-Target").unwrap().as_str(), "http://app.example/api/a%2Eb");
        assert_eq!(reply.payload, "hello");
    }

    async fn a_refusal_reaches_the_prompt(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            let refused = if request.uri().path() == "/busy" { Refused::Busy } else { Refused::Unreachable };
            Err(refused.into())
        })
        .await;
        let client = async_nats::connect(bus.url()).await.unwrap();
        for (path, status) in [("busy", "503"), ("gone", "502")] {
            let reply = client.request(format!("h8s.http.GET.example.app._.{path}"), "".into()).await.unwrap();
            assert_eq!(reply.headers.unwrap().get("Status-Code").unwrap().as_str(), status);
        }
    }

    async fn a_prompt_that_leaves_stops_a_native_stream(bus) {
        let (sender, mut receiver) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
        let source = Arc::new(std::sync::Mutex::new(Some(sender)));
        let _responder = responder(&bus.url(), "/*", move |_| {
            let source = source.lock().unwrap().take();
            async move {
                let endless = futures_util::stream::poll_fn(move |_| {
                    let _ = &source;
                    std::task::Poll::Ready(Some(Ok::<_, BoxError>(Frame::data(Bytes::from(vec![1; 65_536])))))
                });
                Ok(Response::new(body(StreamBody::new(endless))))
            }
        })
        .await;
        let client = async_nats::connect(bus.url()).await.unwrap();
        let first = client.request("h8s.http.GET.example.app._", "".into()).await.unwrap();
        assert_eq!(first.headers.unwrap().get("H8s-More").unwrap().as_str(), "true");
        // The request's inbox subscription lives as long as the client.
        drop(client);
        assert!(within(receiver.recv()).await.is_none(), "the body was dropped");
    }

    async fn a_gateway_that_gives_up_stops_a_native_responder_s_plain_stream(bus) {
        let (sender, mut receiver) = mpsc::channel::<()>(1);
        let held = Arc::new(std::sync::Mutex::new(Some(sender)));
        let _responder = responder(&bus.url(), "/*", move |_| {
            let held = held.lock().unwrap().take();
            async move {
                let quiet = futures_util::stream::poll_fn(move |_| {
                    let _ = &held;
                    std::task::Poll::<Option<Result<Frame<Bytes>, BoxError>>>::Pending
                });
                Ok(Response::new(body(StreamBody::new(quiet))))
            }
        })
        .await;
        let client = async_nats::connect(bus.url()).await.unwrap();
        let exchange = "00000000000000000000000000000001";
        let reply = format!("h8s.inbox.gw.00000000000000000000000000000002.{exchange}");
        let mut replies = client.subscribe(reply.clone()).await.unwrap();
        client.publish_with_reply("h8s.http.GET.example.app._", reply, "".into()).await.unwrap();
        let head = within(replies.next()).await.unwrap();
        assert_eq!(head.headers.unwrap().get("H8s-More").unwrap().as_str(), "true", "a quiet body delays no head");

        client.publish(format!("h8s.inbox.r.example.app._.closed.{exchange}"), "".into()).await.unwrap();

        assert!(within(receiver.recv()).await.is_none(), "the body was dropped");
    }

    async fn publishing_does_not_wait_for_a_subscriber(bus) {
        let (seen, mut requests) = mpsc::unbounded_channel();
        let _responder = responder(&bus.url(), "/*", move |request| {
            let seen = seen.clone();
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                seen.send(body).unwrap();
                Ok(Response::new(full("no client receives this")))
            }
        })
        .await;
        let requester = requester(&bus.url()).await;
        requester.publish(&host(), request("POST", "/x", full("event"))).await.unwrap();
        assert_eq!(within(requests.recv()).await.unwrap(), "event");
        eventually("nothing is open", async || requester.open_exchanges() == 0).await;
    }
}
