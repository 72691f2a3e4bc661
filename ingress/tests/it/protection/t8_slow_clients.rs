//! T8, T19: slow clients. A limit closes each stalled client, without effect on other clients. Slow
//! clients that make progress are not closed.

use std::time::Duration;

use h8s_test_support::eventually;
use h8s_test_support::http2_client::{self, Http2Client, kind};
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;

use crate::protection::attacked::Attacked;
use crate::support::*;

/// Limited by the descriptors of a test: each client takes one on each side.
const CLIENTS: usize = 500;

/// Slow clients of one kind, beside a neighbour. The gateway counts each under `limit`, and ends it.
async fn slow_clients(flags: &[&str], limit: &str, sends: &str) -> (Attacked, Vec<Raw>) {
    let gateway = Attacked::start(flags).await;
    let neighbour = gateway.neighbour();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Raw::connect(gateway.address).await;
        client.send(sends).await;
        clients.push(client);
    }
    eventually(limit, async || gateway.limited(limit).await >= CLIENTS as f64).await;
    neighbour.was_served().await;
    (gateway, clients)
}

async fn all_end_with(clients: Vec<Raw>, expected: &str) {
    for mut client in clients {
        let seen = client.try_rest().await.unwrap_or_else(|(seen, _)| seen);
        assert_eq!(seen.split("\r\n").next(), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_five_hundred_that_say_nothing_are_closed() {
    let (_gateway, clients) = slow_clients(&["--handshake-timeout", "1s"], "handshake", "").await;
    all_end_with(clients, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_five_hundred_slow_heads_are_408() {
    let head = "GET / HTTP/1.1\r\nHost: app.example\r\nX-Slow: ";
    let (_gateway, clients) = slow_clients(&["--header-timeout", "1s"], "header", head).await;
    all_end_with(clients, "HTTP/1.1 408 Request Timeout").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_five_hundred_slow_bodies_are_408() {
    let head = "POST /hang HTTP/1.1\r\nHost: app.example\r\nContent-Length: 100000\r\n\r\nx";
    let (gateway, clients) = slow_clients(&["--body-timeout", "1s"], "body", head).await;
    all_end_with(clients, "HTTP/1.1 408 Request Timeout").await;
    eventually("places", async || gateway.metric("h8s_ingress_exchanges_in_flight", "").await == 0.0).await;
}

/// Each client requests more than the kernel buffers for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_t19_five_hundred_that_do_not_read_are_reset_and_cost_little() {
    let gateway = Attacked::start(&["--write-timeout", "2s"]).await;
    let before = gateway.resident_bytes();
    let neighbour = gateway.neighbour();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let mut client = Raw::over(socket.connect(gateway.address).await.unwrap());
        client.send("GET /large HTTP/1.1\r\nHost: app.example\r\n\r\n").await;
        clients.push(client);
    }
    let in_time = Duration::from_secs(120);
    let all = async {
        while gateway.limited("write").await < CLIENTS as f64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    h8s_test_support::within(in_time, all).await;
    // The clients requested 500 × 8 MiB; the gateway may hold 1 MiB and some buffers for each.
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < CLIENTS * (2 << 20), "{grown} bytes");
    neighbour.was_served().await;
    let reset = clients[0].stream.read_to_end(&mut Vec::new()).await;
    assert_eq!(reset.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

/// T19: the window of one stream is closed; other streams of its connection continue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_a_stalled_http2_stream_holds_up_no_other_and_ends() {
    let gateway = Attacked::start(&["--write-timeout", "1s"]).await;
    let mut client = Http2Client::connect(&gateway.url(), &[(4, 1_000)]).await;
    client.send(http2_client::get_frame(1, "app.example", "/large")).await;
    client.send(http2_client::get_frame(3, "app.example", "/")).await;

    let first = in_time(async {
        loop {
            let data = client.next(kind::DATA).await.unwrap();
            if data.stream == 3 {
                break data;
            }
        }
    });
    assert_eq!(first.await.payload, b"hello");

    assert_eq!(client.next(kind::RST_STREAM).await.unwrap().stream, 1);
    assert_eq!(gateway.limited("write").await, 1.0);
    assert!(client.round_trip().await);
    eventually("the place is free", async || {
        gateway.metric("h8s_ingress_exchanges_in_flight", "").await == 0.0
    })
    .await;
}

/// Each step takes a large part of the timeout, and all steps together exceed it many times.
#[tokio::test]
async fn t8_who_moves_slowly_but_moves_is_left_alone() {
    const TIMEOUT: Duration = Duration::from_millis(400);
    let limits = h8s_ingress::Limits {
        header_timeout: TIMEOUT,
        body_timeout: TIMEOUT,
        write_timeout: TIMEOUT,
        idle_timeout: TIMEOUT,
        ..h8s_ingress::Limits::default()
    };
    let echo = Closure::new(|_, request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok(whole(std::str::from_utf8(&body).unwrap()))
    });
    let ingress = start_with(h8s_ingress::Config { limits, ..Default::default() }, echo).await;
    let mut client = ingress.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n").await;
    for _ in 0..20 {
        tokio::time::sleep(TIMEOUT / 8).await;
        client.send("x").await;
    }
    let seen = client.until(&"x".repeat(20)).await;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
}

/// Occasional bytes do not extend the time limit of a head.
#[tokio::test]
async fn t8_a_dribbled_head_is_408_all_the_same() {
    let limits =
        h8s_ingress::Limits { header_timeout: Duration::from_millis(300), ..h8s_ingress::Limits::default() };
    let ingress = start_with(h8s_ingress::Config { limits, ..Default::default() }, hello()).await;
    let client = ingress.connect().await;
    let (mut reader, mut writer) = client.stream.into_split();
    let dribble = tokio::spawn(async move {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut writer, b"GET / HTTP/1.1\r\nX: ").await;
        while tokio::io::AsyncWriteExt::write_all(&mut writer, b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut seen = Vec::new();
    // The connection ends with a reset if the client sends longer than the gateway reads.
    let _ = in_time(reader.read_to_end(&mut seen)).await;
    dribble.abort();

    let answer = Answer::parse(std::str::from_utf8(&seen).unwrap());
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
}

/// The client's timeout does not run while the gateway waits for the responder.
#[tokio::test]
async fn t8_a_body_that_is_not_awaited_may_be_slow() {
    let limits =
        h8s_ingress::Limits { body_timeout: Duration::from_millis(50), ..h8s_ingress::Limits::default() };
    let late = Closure::new(|_, request| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok(whole(std::str::from_utf8(&body).unwrap()))
    });
    let ingress = start_with(h8s_ingress::Config { limits, ..Default::default() }, late).await;

    let seen = ingress
        .raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
        .await;

    assert!(seen.ends_with("hello"), "{seen}");
}
