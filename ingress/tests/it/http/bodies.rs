//! Bodies in both directions: rules of HEAD, 204 and 304, trailers, 100-continue, flushing, limits.

use std::time::Duration;

use bytes::Bytes;
use h8s_ingress::{BoxError, Config, Limits, RequestBodyError};
use h8s_nats::ExchangeError;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::support::*;

#[tokio::test]
async fn head_204_and_304_have_no_body_and_the_next_request_is_served() {
    let upstream = Closure::new(|_, request| async move {
        let mut response = whole("hello");
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("content-length", "5".parse().unwrap());
        Ok(response)
    });
    let ingress = start(upstream).await;
    for (request_line, content_length) in
        [("HEAD /200", Some("5")), ("GET /204", None), ("GET /304", None), ("HEAD /404", Some("5"))]
    {
        let mut client = ingress.connect().await;
        client.send(&format!("{request_line} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let head = Answer::parse(&client.until("\r\n\r\n").await);
        assert_eq!(head.field("content-length"), content_length, "{request_line}");

        client.send("GET /200 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.until("hello").await.starts_with("HTTP/1.1 200"), "{request_line}");
    }
}

#[tokio::test]
async fn a_head_response_without_a_length_is_given_none() {
    let ingress = start(hello()).await;

    let answer = ingress.ask("HEAD / HTTP/1.1\nHost: a\n").await;

    assert_eq!((answer.field("content-length"), answer.field("transfer-encoding")), (None, None));
}

#[tokio::test]
async fn a_204_over_http2_ends_with_its_head() {
    let ingress = start(Closure::new(|_, _| async {
        Ok(Response::builder().status(204).body(whole("stray").into_body()).unwrap())
    }))
    .await;
    let mut client = http2(ingress.address).await;

    let response = in_time(client.send_request(get("http://a/"))).await.unwrap();

    assert!(http_body::Body::is_end_stream(response.body()));
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let upstream = Closure::new(|_, request| async move {
        let mut trailers = request.into_body().collect().await.unwrap().trailers().cloned().unwrap();
        trailers.insert("x-answer", "2".parse().unwrap());
        trailers.insert("h8s-more", "true".parse().unwrap());
        Ok(Response::new(frames(vec![data("hello"), Ok(Frame::trailers(trailers))])))
    });
    let ingress = start(upstream).await;
    let mut client = http2(ingress.address).await;
    let mut trailers = HeaderMap::new();
    for name in ["x-question", "x-h8s-original-path", "x-forwarded-for", "content-length"] {
        trailers.insert(name, "1".parse().unwrap());
    }
    let body = frames(vec![data("question"), Ok(Frame::trailers(trailers))]);

    let response =
        in_time(client.send_request(http::Request::post("http://a/").body(body).unwrap())).await.unwrap();
    let received = in_time(response.into_body().collect()).await.unwrap();

    let mut names: Vec<&str> = received.trailers().unwrap().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["x-answer", "x-question"]);
}

#[tokio::test]
async fn http1_clients_that_take_trailers_get_them() {
    let upstream = Closure::new(|_, request| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let mut response = Response::new(frames(vec![data("hello"), Ok(Frame::trailers(trailers))]));
        response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
        Ok(response)
    });
    let ingress = start(upstream).await;

    let answer = ingress.ask("GET / HTTP/1.1\nHost: a\nTE: trailers\n").await;

    assert!(answer.body.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{}", answer.body);
}

#[tokio::test]
async fn no_100_continue_before_the_upstream_reads() {
    let (read, wait) = tokio::sync::watch::channel(());
    let upstream = Closure::new(move |_, request| {
        let mut wait = wait.clone();
        async move {
            wait.changed().await.unwrap();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok(whole(std::str::from_utf8(&body).unwrap()))
        }
    });
    let ingress = start(upstream).await;
    let mut client = ingress.connect().await;

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 1.0).await;
    let early = client.stream.try_read(&mut [0; 64]);
    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

    read.send(()).unwrap();
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    assert!(client.until("hello").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn an_answer_that_needs_no_body_never_asks_for_it() {
    let ingress = start(hello()).await;

    let answer =
        ingress.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn each_event_is_flushed_before_the_next_exists() {
    let (events, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let ingress = start(Closure::new(move |_, _| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok(Response::builder().header("content-type", "text/event-stream").body(body).unwrap()) }
    }))
    .await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;

    client.until("\r\n\r\n").await;
    for n in 0..3 {
        let event = format!("data: {n}\n\n");
        events.send(data(&event)).await.unwrap();
        client.until(&event).await;
    }
}

#[tokio::test]
async fn each_event_is_flushed_over_http2_too() {
    let (events, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let ingress = start(Closure::new(move |_, _| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok(Response::new(body)) }
    }))
    .await;
    let mut client = http2(ingress.address).await;
    let mut response = in_time(client.send_request(get("http://a/"))).await.unwrap();

    for n in 0..3 {
        let event = format!("data: {n}\n\n");
        events.send(data(&event)).await.unwrap();
        let received = in_time(response.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(received, event);
    }
}

#[tokio::test]
async fn an_open_ended_body_that_grows_over_the_limit_is_413() {
    let upstream = Closure::new(|_, request| async move {
        match request.into_body().collect().await {
            Ok(_) => Ok(whole("under")),
            Err(error @ RequestBodyError::OverLimit { limit_bytes: 8 }) => {
                Err(ExchangeError::RequestBody(std::sync::Arc::new(error.into())))
            }
            Err(other) => panic!("{other}"),
        }
    });
    let ingress = start_with(Config { max_body_bytes: Some(8), ..Config::default() }, upstream).await;

    for (second, status) in [("4\r\nbbbb", 200), ("5\r\nbbbbb", 413)] {
        let answer = ingress
            .raw(&format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\naaaa\r\n{second}\r\n0\r\n\r\n"))
            .await;
        assert_eq!(Answer::parse(&answer).status, status);
    }
}

#[tokio::test]
async fn a_body_larger_than_every_buffer_streams_through_both_ways() {
    const PIECES: usize = 256;
    let upstream = Closure::new(|_, request| async move {
        let echoed = request.into_body().map_err(Into::into);
        Ok(Response::new(echoed.boxed_unsync()))
    });
    let ingress = start(upstream).await;
    let mut client = http2(ingress.address).await;
    let piece = Bytes::from(vec![7; 64 << 10]);
    let pieces = futures_util::stream::iter(
        (0..PIECES).map(move |_| Ok::<_, std::io::Error>(Frame::data(piece.clone()))),
    );
    let request = http::Request::post("http://a/").body(StreamBody::new(pieces)).unwrap();

    let mut response = in_time(client.send_request(request)).await.unwrap();

    let mut received = 0;
    while let Some(frame) = in_time(response.frame()).await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, PIECES * (64 << 10));
}

#[tokio::test]
async fn an_early_refusal_of_a_large_upload_is_read_and_not_met_by_a_reset() {
    use tokio::io::AsyncWriteExt;
    let config = Config { max_body_bytes: Some(1), ..Config::default() };
    let ingress = start_with(config, hello()).await;
    let (mut reader, mut writer) = ingress.connect().await.stream.into_split();

    let upload = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 10 << 20);
        writer.write_all(head.as_bytes()).await.unwrap();
        // A reset would fail this write. On systems other than Linux it would also discard the unread response.
        writer.write_all(&vec![b'x'; 10 << 20]).await.unwrap();
        writer.write_all(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        writer
    });
    let mut seen = String::new();
    in_time(tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut seen)).await.unwrap();

    in_time(upload).await.unwrap();
    assert_eq!(Answer::parse(&seen).status, 413);
    assert_eq!(seen.matches("HTTP/1.1").count(), 1, "{seen}");
}

#[tokio::test]
async fn a_small_refused_body_does_not_cost_the_connection() {
    let config = Config { max_body_bytes: Some(1), ..Config::default() };
    let ingress = start_with(config, hello()).await;
    let mut client = ingress.connect().await;

    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;

    let both = client.until("hello").await;
    assert!(both.starts_with("HTTP/1.1 413") && both.contains("HTTP/1.1 200"), "{both}");
}

/// Timeouts shorter than the pauses of the clients below.
fn impatient() -> Config {
    let short = Duration::from_millis(50);
    let limits = Limits { body_timeout: short, header_timeout: short, ..Limits::default() };
    Config { limits, ..Config::default() }
}

#[tokio::test]
async fn once_there_is_a_response_the_client_may_be_silent_for_as_long_as_it_likes() {
    let echo = Closure::new(|_, request| async move {
        Ok(Response::new(request.into_body().map_err(BoxError::from).boxed_unsync()))
    });
    let ingress = start_with(impatient(), echo).await;
    let mut client = ingress.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    client.until("one").await;

    tokio::time::sleep(5 * impatient().limits.body_timeout).await;
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;

    client.until("two\r\n0\r\n").await;
    assert_eq!(ingress.metric("h8s_ingress_limited_total", "").await, 0.0);
}

#[tokio::test]
async fn an_upload_may_outlast_its_response() {
    let (came, mut comes) = tokio::sync::mpsc::unbounded_channel();
    let accepting = Closure::new(move |_, request| {
        let came = came.clone();
        async move {
            let mut body = request.into_body();
            tokio::spawn(async move {
                while let Some(frame) = body.frame().await {
                    came.send(frame.map(|frame| frame.into_data().unwrap())).unwrap();
                }
            });
            Ok(whole("accepted"))
        }
    });
    let ingress = start_with(impatient(), accepting).await;
    let mut client = ingress.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none").await;
    client.until("accepted").await;
    assert_eq!(in_time(comes.recv()).await.unwrap().unwrap(), "one");

    tokio::time::sleep(5 * impatient().limits.header_timeout).await;
    client.send("two").await;

    assert_eq!(in_time(comes.recv()).await.unwrap().unwrap(), "two");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("accepted").await;
}

#[tokio::test]
async fn large_pieces_arrive_whole_over_http2() {
    let text = "0123456789".repeat(100_000);
    let answer = text.clone();
    let ingress = start(Closure::new(move |_, _| {
        let pieces = vec![data(&answer), data("and"), data(&answer)];
        async move { Ok(Response::new(frames(pieces))) }
    }))
    .await;
    let mut client = http2(ingress.address).await;

    let response = in_time(client.send_request(get("http://a/"))).await.unwrap();

    let body = in_time(response.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(body, format!("{text}and{text}"));
}
