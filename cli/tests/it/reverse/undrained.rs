//! T6: after a response that precedes the request's body, the rest of the body is never taken for a request.

use h8s_test_support::Bus;
use h8s_test_support::raw_client::{RawClient, RawResponse};
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{Tool, needs};

use super::ok;
use crate::programs::gateway_and_daemon;

const BODY_BYTES: usize = 10 * 1024 * 1024;
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

/// A body that looks like requests.
fn body() -> Vec<u8> {
    b"GET /hidden HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".iter().copied().cycle().take(BODY_BYTES).collect()
}

fn upload(framing: &str) -> Vec<u8> {
    let head = format!("POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}\r\n\r\n");
    let chunk = format!("{BODY_BYTES:x}\r\n");
    match framing.contains("chunked") {
        true => [head.as_bytes(), chunk.as_bytes(), &body(), b"\r\n0\r\n\r\n"].concat(),
        false => [head.as_bytes(), &body()].concat(),
    }
}

/// Sends an upload and a second request at once. Returns the first response, and everything after it.
async fn both(mut client: RawClient, framing: &str) -> (RawResponse, String) {
    client.send([upload(framing), NEXT.into()].concat()).await;
    let early = client.response().await;
    (early, String::from_utf8_lossy(&client.read_to_end().await).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_early_answers_leave_no_remains() {
    needs!(Tool::NatsServer);
    // given a backend that answers uploads before reading them
    let bus = Bus::real().await;
    let origin = RawOrigin::bind().await.serve_early(|request| match request.head.header("x-status") {
        Some(status) => format!("HTTP/1.1 {status} Early\r\nContent-Length: 5\r\n\r\nearly").into_bytes(),
        None => ok(&request.head.target),
    });
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    for (status, framing) in [
        (401, format!("X-Status: 401\r\nContent-Length: {BODY_BYTES}")),
        (404, "X-Status: 404\r\nTransfer-Encoding: chunked".to_owned()),
        (413, format!("X-Status: 413\r\nContent-Length: {BODY_BYTES}")),
    ] {
        // when
        let (early, after) = both(RawClient::connect(&gateway.url).await, &framing).await;
        // then that is the response, the second request is answered or the connection closed, and others are answered
        assert_eq!((early.head.status, early.text().as_str()), (status, "early"));
        assert!(after.is_empty() || after.starts_with("HTTP/1.1 200") && after.ends_with("/next"), "{after}");
        assert_eq!(gateway.get("/other").await.2, "/other");
    }
    let hidden = origin.requests().iter().any(|request| request.head.target == "/hidden");
    assert!(!hidden && origin.faults().is_empty(), "{:?}", origin.faults());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_a_body_that_is_never_sent_is_waited_for_by_nobody() {
    needs!(Tool::NatsServer);
    // given a client that announces a body, and sends a part of it
    let bus = Bus::real().await;
    let origin = RawOrigin::bind().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = RawClient::connect(&gateway.url).await;
    client.send("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nbegun").await;
    let mut backend = origin.accept().await;
    backend.head().await;
    // when the backend has answered
    backend.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await;
    // then the client gets the response, and the backend's connection is not reused
    assert_eq!(client.response().await.head.status, 401);
    drop(client);
    let rest = String::from_utf8(backend.read_to_end().await).unwrap();
    assert!("begun".starts_with(&rest) || rest == "begun", "{rest}");
    let _origin = origin.serve(|_| ok("next"));
    assert_eq!(gateway.get("/").await.2, "next");
}
