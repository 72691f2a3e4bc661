//! T5: ambiguous requests and responses: the requests that the backend sees are exactly those that were answered.

use h8s_test_support::http_client::get;
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::raw_origin::{RawOrigin, ServingOrigin};
use h8s_test_support::{Bus, Tool, ambiguous, needs};

use super::ok;
use crate::programs::{Gateway, gateway_and_daemon};

/// The request after each ambiguous one on its connection.
const LAST: &str = "GET /last HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

/// Sends bytes, then the last request; returns the bodies of the backend's responses, in order.
async fn answers(gateway: &Gateway, bytes: &[u8]) -> Vec<String> {
    let mut client = RawClient::connect(&gateway.url).await;
    client.send([bytes, LAST.as_bytes()].concat()).await;
    let all = client.read_to_end().await;
    let text = String::from_utf8_lossy(&all);
    let marked = text.split("told: ").skip(1);
    marked.map(|rest| rest.split("\r\n").next().unwrap().to_owned()).collect()
}

/// A backend that marks its responses in the head, where no body can forge a mark.
async fn marking_origin() -> ServingOrigin {
    RawOrigin::bind().await.serve(|request| {
        let (method, target) = (&request.head.method, &request.head.target);
        format!("HTTP/1.1 200 OK\r\nTold: {method} {target}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
}

/// The requests that the backend has seen after the first `before`.
fn seen(origin: &ServingOrigin, before: usize) -> Vec<String> {
    let requests = origin.requests();
    requests[before..].iter().map(|seen| format!("{} {}", seen.head.method, seen.head.target)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_requests_seen_are_requests_answered() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let origin = marking_origin().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    for (name, request) in ambiguous::requests("127.0.0.1") {
        let before = origin.requests().len();

        let answers = answers(&gateway, request.as_bytes()).await;

        assert_eq!(answers, seen(&origin, before), "{name}: {request:?}");
        assert_eq!(origin.faults(), Vec::<String>::new(), "{name}: {request:?}");
        assert!(!answers.iter().any(|told| told.contains("hidden")), "{name}: {answers:?}");
    }
    assert_eq!(gateway.status("/after").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_bytes_after_an_upgrade_are_no_request() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let origin = marking_origin().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // A backend without WebSockets answers the upgrade as any other request.
    let answers =
        answers(&gateway, format!("GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n").as_bytes()).await;

    let seen = seen(&origin, 0);
    assert!(seen == ["GET /a"] || seen == ["GET /a", "GET /last"], "{seen:?}");
    assert!(answers.len() <= seen.len() && origin.faults().is_empty(), "{answers:?} {:?}", origin.faults());
    assert_eq!(gateway.status("/after").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_responses_that_can_be_read_in_two_ways_are_502() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(2_000));
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 999999 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\x16\x03\x01\x02",
        "\r\n",
        "",
        &huge,
        &many,
    ] {
        // given a backend that answers like this first, and correctly to the next request
        let origin = RawOrigin::bind().await;
        let (gateway, mut daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let url = gateway.url.clone();
        let asking = tokio::spawn(async move { get(&url).await });
        let mut backend = origin.accept().await;
        backend.request().await;
        // when
        backend.send(answer).await;
        // then it is 502, and that connection is not used again
        let shown = &answer[..answer.len().min(100)];
        if answer.len() < 10 && !answer.starts_with('\x16') {
            // Not wrong yet.
            drop(backend);
        } else {
            assert_eq!(backend.read_to_end().await, b"", "{shown:?}");
        }
        assert_eq!(asking.await.unwrap().0, 502, "{shown:?}");
        let origin = origin.serve(|_| ok("right"));
        assert_eq!(gateway.get("/").await.2, "right", "{shown:?}");
        assert_eq!(origin.connections(), 1, "{shown:?}");
        daemon.process.wait_for_line("a request failed").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_what_follows_a_response_is_nobody_s_answer() {
    needs!(Tool::NatsServer);
    // given a backend that sends more than one response
    let bus = Bus::real().await;
    let origin = RawOrigin::bind().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let url = gateway.url.clone();
    let asking = tokio::spawn(async move { get(&url).await });
    let mut backend = origin.accept().await;
    backend.request().await;
    // when
    backend.send([ok("right"), ok("wrong")].concat()).await;
    assert_eq!(asking.await.unwrap().2, "right");
    // then that connection is not used again
    assert_eq!(backend.read_to_end().await, b"");
    let _origin = origin.serve(|_| ok("right again"));
    assert_eq!(gateway.get("/").await.2, "right again");
}

#[tokio::test]
async fn t5_fields_of_a_response_are_framed_anew() {
    let bus = Bus::embedded().await;
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    )
    .await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;

    let (status, headers, body) = gateway.get("/").await;

    // RFC 9112 §6.3 gives Transfer-Encoding precedence, or lets the response be refused.
    let right =
        status == 200 && body == "body" && headers.get("content-length").is_none_or(|length| length == "4");
    assert!(right || status == 502, "{status} {headers:?} {body:?}");
}
