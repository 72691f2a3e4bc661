//! Shutdown with exchanges in flight.

use std::time::Duration;

use h8s_ingress::{Config, Drained};
use h8s_test_support::eventually;
use http::Response;
use http_body_util::BodyExt;
use tokio::net::TcpStream;

use crate::support::*;

type Pieces = tokio::sync::mpsc::Sender<Result<http_body::Frame<bytes::Bytes>, h8s_ingress::BoxError>>;

async fn streaming(grace_period: Duration) -> (Running, Pieces) {
    let (pieces, body) = channel();
    pieces.send(data("first")).await.unwrap();
    let body = std::sync::Mutex::new(Some(body));
    let upstream = Closure::new(move |_, _| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok(Response::new(body)) }
    });
    (start_with(Config { grace_period, ..Config::default() }, upstream).await, pieces)
}

/// Waits until the port is closed, which means that every task has begun to drain.
async fn refused(ingress: &Running) {
    eventually("the port is closed", async || TcpStream::connect(ingress.address).await.is_err()).await;
}

#[tokio::test]
async fn a_drain_lets_a_streaming_response_end() {
    let (ingress, pieces) = streaming(DEADLINE).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("first\r\n").await;
    let mut idle = ingress.connect().await;

    ingress.shutdown.drain();
    refused(&ingress).await;
    assert_eq!(idle.try_rest().await.unwrap_or_default(), "");
    let ready = ingress.admin("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: draining\n"));
    pieces.send(data("last")).await.unwrap();
    drop(pieces);

    assert!(client.rest().await.ends_with("last\r\n0\r\n\r\n"));
    assert_eq!(ingress.ended().await, Drained::Whole);
}

#[tokio::test]
async fn a_drain_lets_an_http2_response_end() {
    let (ingress, pieces) = streaming(DEADLINE).await;
    let mut client = http2(ingress.address).await;
    let response = in_time(client.send_request(get("http://a/"))).await.unwrap();

    ingress.shutdown.drain();
    refused(&ingress).await;
    pieces.send(data("last")).await.unwrap();
    drop(pieces);

    assert_eq!(in_time(response.into_body().collect()).await.unwrap().to_bytes(), "firstlast");
    assert_eq!(ingress.ended().await, Drained::Whole);
}

#[tokio::test]
async fn after_the_grace_period_what_is_left_is_cut_visibly() {
    let (ingress, _pieces) = streaming(Duration::from_millis(50)).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    client.until("first").await;

    ingress.shutdown.drain();

    client.try_rest().await.unwrap_err();
    assert_eq!(ingress.ended().await, Drained::Cut);
}

#[tokio::test]
async fn a_second_signal_cuts_at_once() {
    let (ingress, pieces) = streaming(DEADLINE * 100).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("first\r\n").await;

    ingress.shutdown.drain();
    ingress.shutdown.cut();

    client.try_rest().await.unwrap_err();
    in_time(pieces.closed()).await;
    assert_eq!(ingress.ended().await, Drained::Cut);
}

#[tokio::test]
async fn an_exchange_that_waits_for_its_head_is_waited_for() {
    let (answer, wait) = tokio::sync::watch::channel(false);
    let ingress = start(Closure::new(move |_, _| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|now| *now).await.unwrap();
            Ok(whole("late"))
        }
    }))
    .await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 1.0).await;

    ingress.shutdown.drain();
    refused(&ingress).await;
    answer.send(true).unwrap();

    let seen = Answer::parse(&client.rest().await);
    assert_eq!((seen.body.as_str(), seen.field("connection")), ("late", Some("close")));
    assert_eq!(ingress.ended().await, Drained::Whole);
}
