use super::*;
use crate::eventually;
use crate::http_client::{HttpClient, full, get, streamed};
use http::Request;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn requests_are_answered_and_recorded() {
    let origin = RawOrigin::bind().await.serve(|request| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
            request.head.target.len(),
            request.head.target
        )
        .into_bytes()
    });
    let mut client = HttpClient::http1(&origin.url()).await;

    let request = Request::put("/a%2Fb?x").header("x-a", "1").header("x-a", "2").body(full("hello")).unwrap();
    assert_eq!(client.exchange(request).await.2, "/a%2Fb?x");
    let (body, request) = streamed();
    let sending = tokio::spawn(async move {
        body.send("one").await;
        body.send("two").await;
    });
    client.exchange(Request::post("/").body(request).unwrap()).await;
    sending.await.unwrap();

    let seen = origin.requests();
    assert_eq!((seen.len(), origin.connections(), origin.open_connections()), (2, 1, 1));
    assert_eq!((seen[0].head.all("X-A"), &seen[0].body[..]), (vec!["1", "2"], &b"hello"[..]));
    assert_eq!((&seen[1].body[..], origin.faults()), (&b"onetwo"[..], vec![]));
    client.disconnect();
    eventually("the connection is closed", async || origin.open_connections() == 0).await;
}

#[tokio::test]
async fn an_ambiguous_request_is_a_fault() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    ] {
        let origin = RawOrigin::answering(OK).await;
        let mut client = RawClient::connect(&origin.url()).await;

        client.send(request).await;
        client.finish().await;

        assert_eq!(client.response().await.head.status, 400, "{request:?}");
        assert_eq!((origin.faults().len(), origin.requests().len()), (1, 0), "{request:?}");
    }
}

#[tokio::test]
async fn a_test_can_play_the_server() {
    let origin = RawOrigin::bind().await;
    let url = origin.url();
    let client = tokio::spawn(async move { get(&url).await });

    let mut connection = origin.accept().await;
    let head = connection.head().await;
    assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/"));
    connection.send(OK).await;

    assert_eq!(client.await.unwrap().2, "ok");
    assert_eq!(connection.read_to_end().await, b"");
}
