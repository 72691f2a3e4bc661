//! Exchanges that end early: each side learns that the other has left, and a truncated body never looks complete.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use h8s_test_support::http_client::{HttpClient, empty, get, streamed};
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::raw_origin::{RawConnection, RawOrigin};
use h8s_test_support::{eventually, over_both_buses, soon, within};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;

use super::{echoing_origin, ok};
use crate::programs::{Daemon, Gateway, gateway_and_daemon};

/// A daemon that vanishes is detected after three missed beats of 5 s.
const NOTICED: Duration = Duration::from_secs(25);
const BEGUN: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n";
const ENDED: &str = "5\r\nended\r\n0\r\n\r\n";

/// A client during a download, and the backend's connection.
async fn downloading(origin: &RawOrigin, gateway: &Gateway) -> (RawClient, RawConnection) {
    let mut client = RawClient::connect(&gateway.url).await;
    client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    let mut backend = origin.accept().await;
    backend.request().await;
    backend.send(BEGUN).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunk().await.unwrap(), b"begun");
    (client, backend)
}

over_both_buses! {
    async fn the_backend_learns_that_a_client_has_left(bus) {
        let origin = RawOrigin::bind().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;

        // during a download,
        let (client, mut backend) = downloading(&origin, &gateway).await;
        client.reset();
        assert_eq!(backend.read_to_end().await, b"");

        // an upload,
        let mut client = RawClient::connect(&gateway.url).await;
        client.send("PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nbegun").await;
        let mut backend = origin.accept().await;
        backend.head().await;
        client.reset();
        assert_eq!(backend.read_to_end().await, b"begun");

        // or before the response.
        let mut client = RawClient::connect(&gateway.url).await;
        client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        let mut backend = origin.accept().await;
        backend.request().await;
        client.reset();
        assert_eq!(backend.read_to_end().await, b"");
    }

    async fn a_response_that_the_backend_truncates_is_truncated(bus) {
        let origin = RawOrigin::bind().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        ] {
            let mut client = RawClient::connect(&gateway.url).await;
            client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
            let mut backend = origin.accept().await;
            backend.request().await;

            backend.send(answer).await;
            let head = client.head().await;
            drop(backend);

            let response = client.body(head).await;
            assert_eq!((response.head.status, response.text().as_str(), response.complete), (200, "half", false));
        }
    }

    async fn a_daemon_that_drains_completes_requests_in_flight(bus) {
        // given a started download and a started upload
        let origin = RawOrigin::bind().await;
        let (gateway, mut daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let (mut client, mut backend) = downloading(&origin, &gateway).await;
        let mut uploader = HttpClient::http1(&gateway.url).await;
        let (body, request) = streamed();
        let answer = tokio::spawn(async move { uploader.exchange(Request::post("/").body(request).unwrap()).await });
        body.send("begun").await;
        let mut taker = origin.accept().await;
        let head = taker.head().await;
        // when
        daemon.process.terminate();
        daemon.process.wait_for_line("draining").await;
        // then both complete, and then the daemon ends with exit code 0
        backend.send(ENDED).await;
        assert_eq!(client.chunk().await.unwrap(), b"ended");
        assert_eq!(client.chunk().await.unwrap(), b"");
        body.send("ended").await;
        drop(body);
        assert_eq!(taker.body(head).await.body, b"begunended");
        taker.send(ok("thanks")).await;
        assert_eq!(soon(answer).await.unwrap().2, "thanks");
        assert!(daemon.process.wait_for_exit().await.success());
    }

    async fn a_daemon_that_is_killed_truncates_responses_in_flight(bus) {
        // given an accepted request without a response, and downloads over HTTP/1.1 and HTTP/2
        let origin = RawOrigin::bind().await;
        let (gateway, mut daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let watcher = async_nats::connect(bus.url()).await.unwrap();
        let mut frames = watcher.subscribe("h8s.inbox.gw.>").await.unwrap();
        watcher.flush().await.unwrap();
        let mut waiting = RawClient::connect(&gateway.url).await;
        waiting.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
        let mut third = origin.accept().await;
        third.request().await;
        soon(frames.next()).await.unwrap();
        let (one, mut first) = downloading(&origin, &gateway).await;
        let mut other = HttpClient::http2(&gateway.url).await;
        let response = async { other.send(Request::get("/").body(empty()).unwrap()).await.unwrap() };
        let begin = async {
            let mut backend = origin.accept().await;
            backend.request().await;
            backend.send(BEGUN).await;
            backend
        };
        let (response, mut second) = tokio::join!(response, begin);
        // when
        daemon.process.kill().await;
        // then the backend learns it at once, and no client sees a complete response
        for backend in [&mut first, &mut second, &mut third] {
            assert_eq!(backend.read_to_end().await, b"");
        }
        let collected = response.into_body().collect();
        let (one, other, waiting) =
            within(NOTICED, async { tokio::join!(rest(one), collected, rest(waiting)) }).await;
        assert!(!one.ends_with(b"0\r\n\r\n"), "a truncated body looked complete");
        assert!(other.is_err(), "a truncated body looked complete");
        assert!(waiting.starts_with(b"HTTP/1.1 502 "), "{:?}", String::from_utf8_lossy(&waiting));
    }

    async fn a_backend_that_is_down_is_502_at_once_and_used_again_when_up(bus) {
        // given a backend
        let backend = echoing_origin().await;
        let (url, address) = (backend.url(), backend.address());
        let (gateway, _daemon) = gateway_and_daemon(&bus, &url).await;
        assert_eq!(gateway.status("/").await, 200);
        // when it is down
        drop(backend);
        eventually("it is gone", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
        // then each request is answered at once, without details of the backend
        for _ in 0..20 {
            let asked = Instant::now();
            let (status, _, body) = gateway.get("/").await;
            assert_eq!(status, 502);
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            let body = String::from_utf8_lossy(&body).to_lowercase();
            for word in [address.port().to_string().as_str(), "refused", "connect", "localhost", "os error"] {
                assert!(!body.contains(word), "{body}");
            }
        }
        // and when it is up again, it answers
        let again = RawOrigin::bind_to(address).await.serve(|_| ok("again"));
        eventually("the backend answers", async || gateway.status("/").await == 200).await;
        assert_eq!((gateway.get("/").await.2, again.faults()), ("again".into(), vec![]));
    }

    async fn one_of_three_daemons_is_killed_under_load(bus) {
        // given three daemons, and clients that send continuously
        let origin = echoing_origin().await;
        let mut daemons = Vec::new();
        for _ in 0..3 {
            daemons.push(Daemon::start(&bus.url(), &origin.url(), &[]).await);
        }
        let gateway = Gateway::start(&bus.url(), &["--request-timeout", "5s"]).await;
        let clients: Vec<_> = (0..4).map(|client| tokio::spawn(ask(gateway.url.clone(), client))).collect();
        // when one is killed
        eventually("the clients are sending", async || origin.requests().len() > 200).await;
        daemons[1].process.kill().await;
        let before = origin.requests().len();
        eventually("the clients continue", async || origin.requests().len() > before + 400).await;
        // then all are answered, correctly or with an error, and few with an error
        let mut failed = 0;
        for client in clients {
            failed += within(NOTICED, client).await.unwrap();
        }
        assert!(failed <= 4, "{failed} requests failed: more than were in flight");
        assert_eq!(origin.faults(), Vec::<String>::new());
    }
}

/// Sends many requests; returns how many got an error. All others must be correct.
async fn ask(url: String, client: usize) -> usize {
    let mut failed = 0;
    for number in 0..300 {
        let (status, _, body) = get(&format!("{url}/{client}/{number}")).await;
        match status.as_u16() {
            200 => assert_eq!(body, format!("GET /{client}/{number}")),
            502..=504 => failed += 1,
            other => panic!("{other}"),
        }
    }
    failed
}

/// Everything received, with a longer deadline.
async fn rest(client: RawClient) -> Vec<u8> {
    let (mut stream, bytes) = client.into_parts();
    let mut all = bytes.to_vec();
    // A reset counts as the end.
    let _ = stream.read_to_end(&mut all).await;
    all
}
