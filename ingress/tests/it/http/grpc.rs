//! gRPC calls through the gateway: their deadline, their trailers, and a gRPC status for every failure.

use std::time::Duration;

use bytes::Bytes;
use h8s_ingress::Config;
use h8s_nats::{ExchangeContext, ExchangeError};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::fixture::{Gateway, answering, over_both_buses};
use crate::http::error_responses::{INSIDE, all};
use crate::support::*;

/// The head of a call to `http://app.example/package.Service/Method`.
fn call() -> http::request::Builder {
    Request::post("http://app.example/package.Service/Method")
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
}

fn unary(builder: http::request::Builder) -> Request<Full<Bytes>> {
    builder.body(Full::from("\0\0\0\0\0")).unwrap()
}

async fn ask(ingress: &Running, request: Request<Full<Bytes>>) -> Response<Incoming> {
    in_time(http2(ingress.address).await.send_request(request)).await.unwrap()
}

/// The status and message of a failed call whose response consists of its head.
#[track_caller]
fn failed(answer: &Response<Incoming>) -> (u16, &str) {
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    assert!(answer.body().is_end_stream(), "trailers-only");
    let text = |name| answer.headers()[name].to_str().unwrap();
    (text("grpc-status").parse().unwrap(), text("grpc-message"))
}

fn status(code: &str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())])
}

/// A response with these fields; the test sends its pieces.
fn answering_with(
    fields: &'static [(&'static str, &'static str)],
    http_status: u16,
) -> (mpsc::Sender<Result<Frame<Bytes>, h8s_ingress::BoxError>>, Closure) {
    let (pieces, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let closure = Closure::new(move |_, _| {
        let mut response = Response::new(body.lock().unwrap().take().unwrap());
        *response.status_mut() = http_status.try_into().unwrap();
        for (name, value) in fields {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        async { Ok(response) }
    });
    (pieces, closure)
}

#[tokio::test]
async fn every_failure_is_a_status_in_trailers_only() {
    for (error, _, _, code) in all() {
        let ingress = start(failing(error.clone())).await;

        let answer = ask(&ingress, unary(call())).await;

        let (status, message) = failed(&answer);
        assert_eq!(status, code, "{error:?}");
        assert!(message.ends_with('.') && !message.contains(INSIDE), "{error:?}: {message}");
        assert_eq!(answer.headers()["x-request-id"].len(), 32);
        assert!(!answer.headers().contains_key("retry-after"));
    }
}

#[tokio::test]
async fn refusals_before_nats_are_statuses_too() {
    let config = Config {
        host_filters: "app.example,bad".parse().unwrap(),
        authorization_key: Some("Bearer k".parse().unwrap()),
        max_body_bytes: Some(4),
        track_interest: true,
        ..Config::default()
    };
    let ingress = start_with(config, hello().serving(&["POST app.example/served"])).await;
    let with_key = |builder: http::request::Builder| builder.header("authorization", "Bearer k");
    for (request, code) in [
        (with_key(call()).uri("http://other.example/served"), 12),
        (call().uri("http://app.example/served"), 16),
        (with_key(call()).uri("http://app.example/unserved"), 12),
        (with_key(call()).uri("http://app.example/served"), 8),
        (with_key(call()).method("ANY"), 12),
        (with_key(call()).header("host", "differs"), 13),
    ] {
        let answer = ask(&ingress, unary(request)).await;
        assert_eq!(failed(&answer).0, code);
    }
    assert_eq!(ingress.metric("h8s_ingress_rescued_total", "authorization").await, 1.0, "still counted");
}

#[tokio::test]
async fn over_http1_the_head_has_the_status() {
    let ingress = start(failing(ExchangeError::NoResponders)).await;

    let answer =
        ingress.ask("POST / HTTP/1.1\nHost: a\nContent-Type: application/grpc\nContent-Length: 0\n").await;

    assert_eq!((answer.status, answer.field("grpc-status"), answer.body.as_str()), (200, Some("14"), ""));
}

#[tokio::test]
async fn other_clients_get_pages_as_ever() {
    let ingress = start(failing(ExchangeError::NoResponders)).await;

    let request = Request::post("http://a/").header("content-type", "application/grpc-web+proto");
    let answer = ask(&ingress, unary(request)).await;

    assert_eq!((answer.status().as_u16(), answer.headers().get("grpc-status")), (503, None));
}

#[tokio::test]
async fn grpc_timeout_is_the_deadline_and_passes_on() {
    let ingress = start(Closure::new(|_, request| async move {
        let context = request.extensions().get::<ExchangeContext>().unwrap();
        let left =
            context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs());
        Ok(whole(&format!(
            "{left:?} {:?}",
            request.headers().get("grpc-timeout").map(|value| value.to_str().unwrap())
        )))
    }))
    .await;
    for (timeout, seen) in [
        ("2M", "Some(119) Some(\"2M\")"),
        ("99H", "Some(3599) Some(\"99H\")"),
        ("soon", "None Some(\"soon\")"),
    ] {
        let answer = ask(&ingress, unary(call().header("grpc-timeout", timeout))).await;
        assert_eq!(in_time(answer.into_body().collect()).await.unwrap().to_bytes(), seen);
    }
    let answer = ask(&ingress, unary(Request::post("http://a/").header("grpc-timeout", "2M"))).await;
    assert_eq!(
        in_time(answer.into_body().collect()).await.unwrap().to_bytes(),
        "None Some(\"2M\")",
        "not a gRPC client"
    );
}

#[tokio::test]
async fn t16_an_answer_that_breaks_off_ends_with_a_status() {
    let (pieces, upstream) = answering_with(&[("content-type", "application/grpc")], 200);
    let ingress = start(upstream).await;
    let mut answer = ask(&ingress, unary(call())).await;
    pieces.send(data("half a mess")).await.unwrap();
    in_time(answer.frame()).await.unwrap().unwrap();

    pieces.send(Err("broke off".into())).await.unwrap();

    let trailers = in_time(answer.frame()).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["grpc-message"]),
        (&"14".parse().unwrap(), &"The response broke off.".parse().unwrap())
    );
    assert!(in_time(answer.frame()).await.is_none());
    assert_eq!(ingress.metric("h8s_ingress_cut_total", "upstream").await, 1.0, "counted as a cut");
}

#[tokio::test]
async fn t16_what_could_be_taken_for_whole_is_reset() {
    for (fields, http_status, request) in [
        (&[("content-type", "application/grpc"), ("content-length", "5")][..], 200, call()),
        (&[("content-type", "application/grpc")], 404, call()),
        (&[("content-type", "application/grpc"), ("grpc-status", "0")], 200, call()),
        (&[("content-type", "text/html")], 200, call()),
        (&[("content-type", "application/grpc")], 200, Request::post("http://a/")),
    ] {
        let (pieces, upstream) = answering_with(fields, http_status);
        let ingress = start(upstream).await;
        let mut answer = ask(&ingress, unary(request)).await;
        pieces.send(data("a")).await.unwrap();
        in_time(answer.frame()).await.unwrap().unwrap();

        pieces.send(Err("broke off".into())).await.unwrap();

        assert!(in_time(answer.frame()).await.unwrap().is_err(), "{fields:?} {http_status}");
    }
}

#[tokio::test]
async fn t16_over_http1_a_break_stays_a_reset() {
    let (pieces, upstream) = answering_with(&[("content-type", "application/grpc")], 200);
    let ingress = start(upstream).await;
    let mut client = ingress.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n").await;
    pieces.send(data("hello")).await.unwrap();
    client.until("hello").await;

    pieces.send(Err("broke off".into())).await.unwrap();

    let (seen, _reset) = client.try_rest().await.unwrap_err();
    assert!(!seen.contains("0\r\n"), "{seen}");
}

over_both_buses! {
    async fn a_bidirectional_stream_goes_message_by_message(bus) {
        let _responder = answering(&bus, "POST".parse().unwrap(), |request| async move {
            let mut received = request.into_body();
            let mut trailers = Some(status("0"));
            let answer = futures_util::stream::poll_fn(move |cx| {
                match std::task::ready!(std::pin::Pin::new(&mut received).poll_frame(cx)) {
                    Some(frame) => Some(frame.map_err(Into::into)).into(),
                    None => trailers.take().map(|trailers| Ok(Frame::trailers(trailers))).into(),
                }
            });
            Ok(Response::builder().header("content-type", "application/grpc").body(StreamBody::new(answer).boxed_unsync())?)
        })
        .await;
        let gateway = Gateway::start(&bus).await;
        let (say, saying) = channel();
        let request = call().header("grpc-timeout", "1M").body(saying).unwrap();
        let mut client = http2(gateway.ingress.address).await;
        let mut answer = in_time(client.send_request(request)).await.unwrap();

        for message in ["\0\0\0\0\x03one", "\0\0\0\0\x03two", "\0\0\0\0\x05three"] {
            say.send(data(message)).await.unwrap();
            let echo = in_time(answer.frame()).await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(echo, message);
        }
        drop(say);

        let trailers = in_time(answer.frame()).await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers, status("0"));
    }

    async fn a_call_that_is_due_ends_and_the_responder_stops(bus) {
        let (held, mut ended) = mpsc::channel::<()>(1);
        let held = std::sync::Arc::new(std::sync::Mutex::new(Some(held)));
        let _responder = answering(&bus, "POST".parse().unwrap(), move |_| {
            let held = held.lock().unwrap().take();
            async move {
                let _held = held;
                std::future::pending().await
            }
        })
        .await;
        let gateway = Gateway::start(&bus).await;

        let answer = ask(&gateway.ingress, unary(call().header("grpc-timeout", "300m"))).await;

        assert_eq!(failed(&answer).0, 4);
        assert!(in_time(ended.recv()).await.is_none(), "its future is dropped");
    }

    async fn t16_a_responder_that_is_cut_off_in_mid_stream_fails_the_call(bus) {
        let responder = answering(&bus, "POST".parse().unwrap(), |_| async {
            let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from("one")))]);
            let endless = futures_util::StreamExt::chain(first, futures_util::stream::pending());
            Ok(Response::builder().header("content-type", "application/grpc").body(StreamBody::new(endless).boxed_unsync())?)
        })
        .await;
        let gateway = Gateway::start(&bus).await;
        let mut answer = ask(&gateway.ingress, unary(call())).await;
        in_time(answer.frame()).await.unwrap().unwrap();

        responder.drain(Duration::ZERO).await;

        let trailers = in_time(answer.frame()).await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "14");
    }

    async fn no_responder_is_unavailable(bus) {
        let gateway = Gateway::start(&bus).await;
        assert_eq!(failed(&ask(&gateway.ingress, unary(call())).await).0, 14);
    }
}
