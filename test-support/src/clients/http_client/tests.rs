use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::server::conn::{http1 as server1, http2 as server2};
use hyper::service::service_fn;
use tokio::net::TcpListener;

use super::*;

/// Answers each request with its own body, and with its URI and `Host` in headers.
async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    let host = request.headers().get(HOST).cloned().unwrap_or(HeaderValue::from_static("none"));
    let uri = request.uri().to_string();
    Ok(Response::builder().header("x-uri", uri).header("x-host", host).body(request.into_body()).unwrap())
}

/// A server for one connection.
async fn server(version: Version) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let stream = TokioIo::new(listener.accept().await.unwrap().0);
        if version == Version::HTTP_2 {
            drop(
                server2::Builder::new(TokioExecutor::new()).serve_connection(stream, service_fn(echo)).await,
            );
        } else {
            drop(server1::Builder::new().serve_connection(stream, service_fn(echo)).await);
        }
    });
    address
}

#[tokio::test]
async fn http1_sends_a_path_and_a_host() {
    let address = server(Version::HTTP_11).await;

    let (status, headers, body) = post(&format!("http://{address}/a?b"), "text").await;

    assert_eq!((status, body), (StatusCode::OK, "text".into()));
    assert_eq!(headers["x-uri"], "/a?b");
    assert_eq!(headers["x-host"], address.to_string());
}

#[tokio::test]
async fn http2_sends_a_whole_uri_and_carries_several_requests() {
    let url = format!("http://{}", server(Version::HTTP_2).await);
    let mut client = HttpClient::http2(&url).await;

    for path in ["/one", "/two"] {
        let (status, headers, body) = client.exchange(Request::put(path).body(full(path)).unwrap()).await;

        assert_eq!((status, body), (StatusCode::OK, path.into()));
        assert_eq!(headers["x-uri"], format!("{url}{path}"));
    }
}

#[tokio::test]
async fn a_streamed_body_is_sent_and_received_piece_by_piece() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let url = format!("http://{}", server(version).await);
        let mut client = if version == Version::HTTP_2 {
            HttpClient::http2(&url).await
        } else {
            HttpClient::http1(&url).await
        };
        let (sender, body) = streamed();
        let mut response = client.send(Request::post("/").body(body).unwrap()).await.unwrap();

        for piece in ["one", "two"] {
            assert!(sender.send(piece).await);
            assert_eq!(next_piece(response.body_mut()).await.unwrap().unwrap(), piece);
        }
        drop(sender);

        assert_eq!(next_piece(response.body_mut()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_aborted_body_is_an_error_at_the_peer() {
    let url = format!("http://{}", server(Version::HTTP_2).await);
    let mut client = HttpClient::http2(&url).await;
    let (sender, body) = streamed();
    let response = client.send(Request::post("/").body(body).unwrap()).await.unwrap();

    sender.abort().await;

    assert!(whole(response).await.is_err());
}

#[tokio::test]
async fn a_client_that_disconnects_closes_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = HttpClient::http1(&format!("http://{}", listener.local_addr().unwrap())).await;
    let (mut stream, _) = listener.accept().await.unwrap();

    client.disconnect();

    assert_eq!(soon(tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1])).await.unwrap(), 0);
}
