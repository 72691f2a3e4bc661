use tokio::net::TcpListener;

use super::*;

/// A client that receives exactly `answer`, then the end.
async fn client_receiving(answer: &str) -> RawClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = RawClient::connect(&format!("http://{}/", listener.local_addr().unwrap())).await;
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(answer.as_bytes()).await.unwrap();
    client
}

#[tokio::test]
async fn responses_are_delimited_by_their_framing() {
    let mut client = client_receiving(
        "HTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhi\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\none\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n\
         HTTP/1.1 200 OK\r\n\r\nto the end",
    )
    .await;

    assert_eq!(client.response().await.head.status, 100);
    let plain = client.response().await;
    assert_eq!((plain.text().as_str(), plain.head.all("X-A")), ("hi", vec!["1", "2"]));
    let chunked = client.response().await;
    assert_eq!((chunked.text().as_str(), chunked.complete), ("one0123456789", true));
    assert_eq!(chunked.trailers, [("T".to_owned(), "v".to_owned())]);
    assert_eq!(client.response().await.text(), "to the end");
}

#[tokio::test]
async fn a_truncated_body_is_not_complete() {
    for (cut, arrived) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "hi"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "hi"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n5\r\nth", "hi"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", "hi"),
    ] {
        let response = client_receiving(cut).await.response().await;

        assert_eq!((response.text().as_str(), response.complete), (arrived, false), "{cut:?}");
    }
}

#[tokio::test]
#[should_panic(expected = "the connection ended before \"\\r\\n\\r\\n\", after \"HTTP/1.1 2\"")]
async fn a_truncated_head_panics_with_the_received_bytes() {
    client_receiving("HTTP/1.1 2").await.response().await;
}
