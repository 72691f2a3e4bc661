//! Bodies, trailers and `Expect: 100-continue`, in both directions.

use bytes::Bytes;
use h8s_test_support::http_client::{HttpClient, empty, full, next_piece, streamed};
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{Bus, over_both_buses};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;

use super::{echoing_origin, ok};
use crate::programs::gateway_and_daemon;

/// Around the sizes where buffers, frames and windows end.
const SIZES: [usize; 9] = [0, 1, 1_000, 65_535, 65_536, 65_537, 131_072, 1_048_577, 3_000_001];

fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

over_both_buses! {
    async fn bodies_of_any_size_are_echoed(bus) {
        let origin = RawOrigin::bind().await.serve(|request| ok(&request.body));
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        for mut client in [HttpClient::http1(&gateway.url).await, HttpClient::http2(&gateway.url).await] {
            for size in SIZES {
                let request = Request::put("/").body(full(bytes(size))).unwrap();

                assert!(client.exchange(request).await.2 == bytes(size), "{size}");

                let seen = origin.last();
                assert_eq!(seen.head.all("content-length"), [size.to_string()]);
                assert!(seen.head.all("transfer-encoding").is_empty());
            }
        }
        assert_eq!(origin.faults(), Vec::<String>::new());
    }

    async fn an_expectation_is_met_when_the_backend_meets_it(bus) {
        // given a request whose body waits for 100 Continue
        let origin = RawOrigin::bind().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let mut client = RawClient::connect(&gateway.url).await;
        client.send("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
        // when the backend sends 100 Continue
        let mut backend = origin.accept().await;
        let head = backend.head().await;
        assert_eq!(head.header("expect"), Some("100-continue"));
        backend.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        // then the client receives it
        assert_eq!(client.response().await.head.status, 100);
        client.send("hello").await;
        assert_eq!(backend.body(head).await.body, b"hello");
        backend.send(ok("thanks")).await;
        assert_eq!(client.response().await.text(), "thanks");
    }

    async fn an_expectation_is_refused_when_the_backend_refuses_it(bus) {
        let origin = RawOrigin::bind().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let mut client = RawClient::connect(&gateway.url).await;
        client.send("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;

        let mut backend = origin.accept().await;
        backend.head().await;
        backend.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await;

        // No 100 came before it, and no body reached the backend.
        let refusal = client.response().await;
        assert_eq!((refusal.head.status, refusal.text().as_str()), (401, "no"));
        assert_eq!(backend.read_to_end().await, b"");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_arrives_piece_by_piece() {
    let bus = Bus::embedded().await;
    let origin = RawOrigin::bind().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = HttpClient::http1(&gateway.url).await;
    let (body, request) = streamed();
    let answer = tokio::spawn(async move {
        let response = client.send(Request::post("/").body(request).unwrap()).await.unwrap();
        (response, client)
    });

    // Each piece arrives before the next is sent, and the response begins before the request ends.
    let mut backend = origin.accept().await;
    body.send("one").await;
    assert_eq!(backend.head().await.header("transfer-encoding"), Some("chunked"));
    assert_eq!(backend.chunk().await.unwrap(), b"one");
    backend.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwhat\r\n").await;
    let (mut response, _client) = answer.await.unwrap();
    assert_eq!(next_piece(response.body_mut()).await.unwrap().unwrap(), "what");
    body.send("two").await;
    assert_eq!(backend.chunk().await.unwrap(), b"two");
    drop(body);
    assert_eq!(backend.chunk().await.unwrap(), b"");
    backend.send("3\r\nend\r\n0\r\n\r\n").await;
    assert_eq!(next_piece(response.body_mut()).await.unwrap().unwrap(), "end");
    assert_eq!(next_piece(response.body_mut()).await.unwrap(), None);
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_complete() {
    let bus = Bus::embedded().await;
    let origin = RawOrigin::answering("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end").await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;

    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.2, "until the end");
    }
}

#[tokio::test]
async fn any_method_can_have_a_body() {
    let bus = Bus::embedded().await;
    let origin = echoing_origin().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = RawClient::connect(&gateway.url).await;
    for method in ["GET", "DELETE", "OPTIONS", "QUERY"] {
        for framing in
            ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
        {
            client.send(format!("{method} /x HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}")).await;

            assert_eq!(client.response().await.text(), format!("{method} /x"));
            assert_eq!(origin.last().body, b"body", "{method} {framing:?}");
        }
    }
    assert_eq!(origin.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn trailers_of_a_request_arrive() {
    let bus = Bus::embedded().await;
    let origin = echoing_origin().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = RawClient::connect(&gateway.url).await;

    let body = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{body}")).await;
    assert_eq!(client.response().await.head.status, 200);

    let seen = origin.last();
    assert_eq!((&seen.body[..], seen.head.all("trailer")), (&b"body"[..], vec!["X-Sum"]));
    let [(name, value)] = &seen.trailers[..] else { panic!("{:?}", seen.trailers) };
    assert_eq!((name.to_lowercase().as_str(), value.as_str()), ("x-sum", "42"));
}

#[tokio::test]
async fn trailers_of_a_response_arrive() {
    let bus = Bus::embedded().await;
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n",
    )
    .await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;

    let mut client = RawClient::connect(&gateway.url).await;
    client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTE: trailers\r\nConnection: TE\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.text().as_str(), response.head.header("trailer")), ("body", Some("X-Sum")));
    let trailers = response.trailers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str()));
    assert_eq!(trailers.collect::<Vec<_>>(), [("x-sum".to_owned(), "42")]);

    let mut client = HttpClient::http2(&gateway.url).await;
    let request = Request::get("/").header("te", "trailers").body(empty()).unwrap();
    let response = client.send(request).await.unwrap();
    let whole = h8s_test_support::soon(response.into_body().collect()).await.unwrap();
    let expected: HeaderMap = [("x-sum".parse().unwrap(), "42".parse().unwrap())].into_iter().collect();
    assert_eq!(whole.trailers(), Some(&expected));
    assert_eq!(whole.to_bytes(), Bytes::from("body"));
    assert_eq!(origin.last().head.all("te"), ["trailers"]);
}
