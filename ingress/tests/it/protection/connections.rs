//! Limits of one client connection, and of the number of connections.

use std::time::Duration;

use h8s_ingress::{Config, Limits};
use h8s_test_support::eventually;

use crate::protection::attacked::{Attacked, status};
use crate::support::*;

fn impatient() -> Config {
    let short = Duration::from_millis(50);
    Config {
        limits: Limits {
            handshake_timeout: short,
            header_timeout: short,
            idle_timeout: short,
            ..Limits::default()
        },
        ..Config::default()
    }
}

#[tokio::test]
async fn a_slow_preface_is_cut_off() {
    let ingress = start_with(impatient(), hello()).await;
    for opening in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut client = ingress.connect().await;
        client.send(opening).await;
        let seen = client.try_rest().await.unwrap_or_else(|(seen, _)| seen);
        assert_eq!(seen, "", "{opening:?}");
    }
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_cut_off() {
    let ingress = start_with(impatient(), hello()).await;

    let mut slow = ingress.connect().await;
    slow.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    let mut idle = ingress.connect().await;
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    idle.until("hello").await;

    assert!(!slow.rest().await.contains("200"));
    assert_eq!(idle.rest().await, "");
}

#[tokio::test]
async fn heads_up_to_the_limit_pass_and_larger_ones_are_431() {
    let ingress = start(hello()).await;
    for (path_bytes, status) in
        [(1 << 10, 200), (60 << 10, 200), (65_500, 431), (65 << 10, 414), (200 << 10, 431)]
    {
        let path = "a".repeat(path_bytes);
        let mut client = ingress.connect().await;
        client.send(&format!("GET /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        let seen = client.try_rest().await.unwrap_or_else(|(seen, _)| seen);
        assert_eq!(Answer::parse(&seen).status, status, "{path_bytes}");
    }
}

/// T1: a request that is too large ends only its own connection.
#[tokio::test]
async fn oversized_paths_and_hosts_do_not_disturb_their_neighbours() {
    let ingress = start(hello()).await;
    let mut neighbour = ingress.connect().await;
    for kilobytes in [1, 4, 16, 64, 128] {
        let long = "a".repeat(kilobytes << 10);
        for request in [
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {long}\r\nConnection: close\r\n\r\n"),
        ] {
            let mut client = ingress.connect().await;
            client.send(&request).await;
            let seen = client.try_rest().await.unwrap_or_else(|(seen, _)| seen);
            assert!([200, 400, 414, 431].contains(&Answer::parse(&seen).status), "{kilobytes}");
        }
        for _ in 0..200 {
            neighbour.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            neighbour.until("hello").await;
        }
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let ingress = start_with(Config { max_connections: 1, ..Config::default() }, hello()).await;
    let mut first = ingress.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    first.until("hello").await;

    let mut second = ingress.connect().await;
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(ingress.metric("h8s_ingress_accepted_connections_total", "").await, 1.0);
    drop(first);

    second.until("hello").await;
}

/// T5, as observed by clients: ambiguous framing is refused, or ends the connection after one response.
#[tokio::test]
async fn ambiguous_framing_never_gives_two_answers() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let ingress = start(Closure::new(|_, request| async move {
        assert_ne!(request.uri().path(), "/smuggled");
        drop(http_body_util::BodyExt::collect(request.into_body()).await);
        Ok(whole("hello"))
    }))
    .await;
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length : 5\r\n\r\nhello",
        "X: 1\r\n folded\r\n\r\n",
        "\0: 1\r\n\r\n",
    ] {
        let mut client = ingress.connect().await;
        client.send(&format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}{smuggled}")).await;
        let seen = client.try_rest().await.unwrap_or_else(|(seen, _)| seen);
        assert_eq!(seen.matches("HTTP/1.1 ").count(), 1, "{framing:?}: {seen}");
    }
}

/// T8: without free descriptors the program waits, and continues when descriptors are free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_a_gateway_that_is_out_of_descriptors_survives_and_serves_again() {
    let limited = "ulimit -n 64; exec \"$0\"";
    let mut command = h8s_test_support::process::program("sh");
    let mut gateway =
        Attacked::start_program(command.args(["-c", limited, env!("CARGO_BIN_EXE_h8sd")])).await;

    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(Raw::connect(gateway.address).await);
    }
    gateway.process.wait_for_line("failed to accept a connection; retrying").await;
    drop(clients);

    eventually("it serves again", async || status(gateway.address).await == Some(200)).await;
    assert!(gateway.limited("accept").await >= 1.0);
}
