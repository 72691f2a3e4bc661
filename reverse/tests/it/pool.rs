//! HTTP/1.1 connections are kept for the next request while they are usable.

use std::time::Duration;

use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{eventually, soon};
use http_body_util::BodyExt;

use crate::harness::{call, get, in_front_of, ok, request, served_once, text, whole};

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let origin = RawOrigin::bind().await.serve(|request| match request.head.method.as_str() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec(),
        "PUT" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "POST" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec(),
        "OPTIONS" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_vec(),
        _ => ok("ok"),
    });
    let service = in_front_of(&origin.url(), |_| {});

    for method in ["GET", "HEAD", "PUT", "POST", "OPTIONS", "GET", "DELETE", "POST"] {
        whole(call(&service, request(method, "/", "")).await.unwrap()).await;
    }

    assert_eq!((origin.connections(), origin.requests().len()), (1, 8));
    assert!(origin.faults().is_empty(), "{:?}", origin.faults());
}

#[tokio::test]
async fn concurrent_requests_use_a_connection_each() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |_| {});

    let (one, other) = (service.clone(), service.clone());
    let (first, second) = (
        tokio::spawn(async move { text(&one, "/1").await }),
        tokio::spawn(async move { text(&other, "/2").await }),
    );
    let (mut slow, mut quick) = (origin.accept().await, origin.accept().await);
    slow.request().await;
    quick.request().await;
    quick.send(ok("quick")).await;
    let either = tokio::select! {
        biased;
        text = first => text.unwrap(),
        text = second => text.unwrap(),
    };

    assert_eq!(either, "quick");
}

#[tokio::test]
async fn a_closed_connection_is_replaced() {
    let origin =
        RawOrigin::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
    let service = in_front_of(&origin.url(), |_| {});

    let texts = [text(&service, "/").await, text(&service, "/").await];

    assert_eq!((texts, origin.connections()), (["ok".into(), "ok".into()], 2));
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_used() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |_| {});
    let connection = served_once(&origin, &service).await;
    drop(connection);
    // When this connection is accepted, the runtime has processed the end of the other.
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    tokio::net::TcpStream::connect(other.local_addr().unwrap()).await.unwrap();

    let call_task = tokio::spawn(async move { text(&service, "/2").await });
    let mut connection = origin.accept().await;
    let second = connection.request().await;
    connection.send(ok("two")).await;

    assert_eq!((second.head.target.as_str(), call_task.await.unwrap().as_str()), ("/2", "two"));
}

#[tokio::test]
async fn idle_connections_are_closed_after_keep_alive() {
    let origin = RawOrigin::answering(ok("ok")).await;
    let service = in_front_of(&origin.url(), |backend| backend.keep_alive = Duration::from_millis(50));

    text(&service, "/").await;

    eventually("it is closed", async || origin.open_connections() == 0).await;
}

#[tokio::test]
async fn a_connection_is_closed_before_the_backend_closes_it() {
    let origin =
        RawOrigin::answering("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok").await;
    let service = in_front_of(&origin.url(), |_| {});

    text(&service, "/").await;
    text(&service, "/").await;

    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_dropped_body_closes_the_connection() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |_| {});
    let call_task = tokio::spawn(async move { get(&service, "/").await });
    let mut connection = origin.accept().await;
    connection.request().await;
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").await;
    let mut response = call_task.await.unwrap();
    soon(response.frame()).await.unwrap().unwrap();

    drop(response);

    assert_eq!(connection.read_to_end().await, b"");
}

#[tokio::test]
async fn a_dropped_request_closes_the_connection() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |_| {});
    let call_task = tokio::spawn(async move { get(&service, "/").await });
    let mut connection = origin.accept().await;
    connection.request().await;

    call_task.abort();

    assert_eq!(connection.read_to_end().await, b"");
}
