//! T16 at the edge: a truncated response never looks complete, over any protocol.

use http::Response;
use http_body_util::BodyExt;

use crate::support::*;

/// Sends `hello`, then fails. The length is declared if the path requests it.
fn breaking() -> Closure {
    Closure::new(|_, request| async move {
        let (pieces, body) = channel();
        pieces.send(data("hello")).await.unwrap();
        pieces.send(Err("broke off".into())).await.unwrap();
        let mut response = Response::new(body);
        if request.uri().path() == "/declared" {
            response.headers_mut().insert("content-length", "10".parse().unwrap());
        }
        Ok(response)
    })
}

#[tokio::test]
async fn a_chunked_response_ends_without_its_last_chunk() {
    let ingress = start(breaking()).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;

    let (seen, _reset) = client.try_rest().await.unwrap_err();

    assert!(!seen.contains("0\r\n\r\n"), "{seen}");
    assert_eq!(ingress.metric("h8s_ingress_cut_total", "upstream").await, 1.0);
}

#[tokio::test]
async fn a_declared_length_is_not_reached() {
    let ingress = start(breaking()).await;
    let mut client = ingress.connect().await;
    client.send("GET /declared HTTP/1.1\r\nHost: a\r\n\r\n").await;

    let (seen, _reset) = client.try_rest().await.unwrap_err();

    assert!(!seen.contains("hellohello"), "{seen}");
}

#[tokio::test]
async fn an_http10_connection_is_reset_because_its_end_would_look_whole() {
    let ingress = start(breaking()).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;

    let (_, error) = client.try_rest().await.unwrap_err();

    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_http2_stream_is_reset_and_its_neighbours_live_on() {
    let (pieces, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let ingress = start(Closure::new(move |_, _| {
        let body = body.lock().unwrap().take();
        async move { Ok(body.map_or_else(|| whole("hello"), Response::new)) }
    }))
    .await;
    let mut client = http2(ingress.address).await;
    let mut response = in_time(client.send_request(get("http://a/"))).await.unwrap();
    pieces.send(data("hello")).await.unwrap();
    in_time(response.frame()).await.unwrap().unwrap();

    pieces.send(Err("broke off".into())).await.unwrap();

    let error = in_time(response.frame()).await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("INTERNAL_ERROR"), "{error:?}");
    assert_eq!(in_time(client.send_request(get("http://a/"))).await.unwrap().status(), 200);
}

#[tokio::test]
async fn less_or_more_than_declared_is_cut() {
    for (declared, is_http2) in [("10", false), ("10", true), ("3", true)] {
        let ingress = start(Closure::new(move |_, _| async move {
            let mut response = Response::new(frames(vec![data("hel"), data("lo")]));
            response.headers_mut().insert("content-length", declared.parse().unwrap());
            Ok(response)
        }))
        .await;
        let is_cut = if is_http2 {
            let mut client = http2(ingress.address).await;
            // The reset may overtake the head.
            match in_time(client.send_request(get("http://a/"))).await {
                Ok(response) => in_time(response.into_body().collect()).await.is_err(),
                Err(_) => true,
            }
        } else {
            let mut client = ingress.connect().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.try_rest().await.is_err()
        };
        assert!(is_cut, "{declared} {is_http2}");
    }
}

#[tokio::test]
async fn more_than_declared_never_follows_as_another_response() {
    let ingress = start(Closure::new(|_, _| async {
        let mut response = Response::new(frames(vec![data("hello"), data("HTTP/1.1 200 OK\r\n\r\n")]));
        response.headers_mut().insert("content-length", "5".parse().unwrap());
        Ok(response)
    }))
    .await;

    let answer = ingress.ask("GET / HTTP/1.1\nHost: a\n").await;

    assert_eq!(answer.body, "hello");
}

#[tokio::test]
async fn an_upstream_whose_bytes_are_all_sent_is_not_cancelled_before_its_end() {
    let (pieces, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let ingress = start(Closure::new(move |_, _| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok(Response::builder().header("content-length", "5").body(body).unwrap()) }
    }))
    .await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    pieces.send(data("hello")).await.unwrap();
    client.until("hello").await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 0.0).await;

    assert!(!pieces.is_closed());
    assert_eq!(ingress.metric("h8s_ingress_cut_total", "").await, 0.0);
}
