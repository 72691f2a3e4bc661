//! A client's disconnection ends its exchange, before and after the response head.

use http::Response;
use http_body_util::BodyExt;

use crate::support::*;

/// Never responds; the test observes the drop of the future.
fn silent() -> (Closure, tokio::sync::watch::Receiver<()>, tokio::sync::watch::Receiver<bool>) {
    let (notice, dropped) = drop_notice();
    let (asked, is_asked) = tokio::sync::watch::channel(false);
    let notice = std::sync::Mutex::new(Some(notice));
    let upstream = Closure::new(move |_, _request| {
        let notice = notice.lock().unwrap().take();
        asked.send_replace(true);
        async move {
            let _notice = notice;
            std::future::pending().await
        }
    });
    (upstream, dropped, is_asked)
}

#[tokio::test]
async fn before_the_head_over_http1() {
    let (upstream, is_dropped, mut asked) = silent();
    let ingress = start(upstream).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    in_time(asked.wait_for(|asked| *asked)).await.unwrap();

    drop(client);

    dropped(is_dropped).await;
    ingress.metric_becomes("h8s_ingress_cut_total", "client", 1.0).await;
    assert_eq!(ingress.metric("h8s_ingress_exchanges_in_flight", "").await, 0.0);
}

#[tokio::test]
async fn before_the_head_over_http2_and_the_connection_stays() {
    let (upstream, is_dropped, mut asked) = silent();
    let ingress = start(upstream).await;
    let client = http2(ingress.address).await;
    let exchange = tokio::spawn({
        let mut client = client.clone();
        async move { client.send_request(get("http://a/")).await }
    });
    in_time(asked.wait_for(|asked| *asked)).await.unwrap();

    exchange.abort();

    dropped(is_dropped).await;
    assert!(!client.is_closed());
}

/// Sends one piece, then nothing; the sender observes the drop of the body.
async fn streaming()
-> (Running, tokio::sync::mpsc::Sender<Result<http_body::Frame<bytes::Bytes>, h8s_ingress::BoxError>>) {
    let (pieces, body) = channel();
    pieces.send(data("hello")).await.unwrap();
    let body = std::sync::Mutex::new(Some(body));
    let ingress = start(Closure::new(move |_, _| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok(Response::new(body)) }
    }))
    .await;
    (ingress, pieces)
}

#[tokio::test]
async fn in_mid_body_over_http1() {
    let (ingress, pieces) = streaming().await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("hello\r\n").await;

    drop(client);

    in_time(pieces.closed()).await;
    ingress.metric_becomes("h8s_ingress_cut_total", "client", 1.0).await;
}

#[tokio::test]
async fn in_mid_body_over_http2_and_the_connection_stays() {
    let (ingress, pieces) = streaming().await;
    let mut client = http2(ingress.address).await;
    let mut response = in_time(client.send_request(get("http://a/"))).await.unwrap();
    in_time(response.frame()).await.unwrap().unwrap();

    drop(response);

    in_time(pieces.closed()).await;
    assert!(!client.is_closed());
}

#[tokio::test]
async fn in_mid_upload_the_upstream_sees_an_error_and_no_end() {
    let (seen, mut outcome) = tokio::sync::mpsc::channel(1);
    let ingress = start(Closure::new(move |_, request| {
        let seen = seen.clone();
        async move {
            let outcome = request.into_body().collect().await.map(|body| body.to_bytes());
            seen.send(outcome).await.unwrap();
            Ok(whole("late"))
        }
    }))
    .await;
    let mut client = ingress.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").await;

    drop(client);

    in_time(outcome.recv()).await.unwrap().unwrap_err();
}
