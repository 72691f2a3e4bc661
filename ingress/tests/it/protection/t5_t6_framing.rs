//! T5, T6: the end of a request. Clients get responses to exactly the requests that the upstream receives, and no part
//! of a body is taken for a request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h8s_ingress::{Config, Limits};
use h8s_nats::ExchangeError;
use h8s_test_support::ambiguous;
use http::Response;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Records each completely read request, and names it in the response.
fn telling(seen: &Arc<Mutex<Vec<String>>>) -> Closure {
    let seen = seen.clone();
    Closure::new(move |_, request| {
        let seen = seen.clone();
        async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            match request.into_body().collect().await {
                Ok(_) => {
                    seen.lock().unwrap().push(line.clone());
                    Ok(Response::builder().header("told", line).body(whole("").into_body()).unwrap())
                }
                Err(error) => Err(ExchangeError::RequestBody(Arc::new(error.into()))),
            }
        }
    })
}

#[tokio::test]
async fn t5_requests_seen_are_requests_answered_and_ambiguity_ends_the_connection() {
    let seen = Arc::default();
    let short = Duration::from_millis(500);
    let limits = Limits { header_timeout: short, body_timeout: short, ..Limits::default() };
    let ingress = start_with(Config { limits, ..Config::default() }, telling(&seen)).await;
    let mut refused = 0;
    for (name, request) in ambiguous::requests("a") {
        let mut client = ingress.connect().await;
        client.send(&format!("{request}{LAST}")).await;
        let answers = client.try_rest().await.unwrap_or_else(|(seen, _)| seen);

        let seen: Vec<String> = std::mem::take(&mut *seen.lock().unwrap());
        let told: Vec<&str> =
            answers.split("told: ").skip(1).map(|rest| rest.split("\r\n").next().unwrap()).collect();
        assert_eq!(told, seen, "{name}: {answers}");
        assert!(!answers.contains("/hidden"), "{name}: {answers}");
        // Requests may follow one refused for its content, but not one with ambiguous framing.
        if answers.starts_with("HTTP/1.1 400") && name != "two hosts" {
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{name}: {answers}");
            refused += 1;
        }
    }
    assert!(refused > 20, "only {refused} were refused");
}

#[tokio::test]
async fn t5_bytes_after_an_upgrade_that_is_not_taken_are_the_next_request_and_no_other() {
    let seen = Arc::default();
    let ingress = start_with(Config::default(), telling(&seen)).await;

    let upgrade = "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA";
    let answers = ingress.raw(&format!("GET /a HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n\r\n{LAST}")).await;

    assert!(!answers.contains("101 "), "{answers}");
    assert_eq!(*seen.lock().unwrap(), ["GET /a", "GET /last"]);
}

const LARGE: usize = 10 << 20;

/// Requests that are refused for their head, and the result.
fn refusals() -> [(Config, u16); 3] {
    [
        (Config { max_body_bytes: Some(1), ..Config::default() }, 413),
        (Config { host_filters: "b".parse().unwrap(), ..Config::default() }, 404),
        (Config { authorization_key: Some("key".parse().unwrap()), ..Config::default() }, 403),
    ]
}

#[tokio::test]
async fn t6_an_early_refusal_of_ten_megabytes_is_read_and_what_follows_is_no_request() {
    for (config, status) in refusals() {
        let seen = Arc::default();
        let ingress = start_with(config, telling(&seen)).await;
        let (mut reader, mut writer) = ingress.connect().await.stream.into_split();
        let upload = tokio::spawn(async move {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n");
            writer.write_all(head.as_bytes()).await.unwrap();
            writer.write_all(&vec![b'x'; LARGE]).await.unwrap();
            writer.write_all(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        });
        let mut answers = String::new();
        in_time(reader.read_to_string(&mut answers)).await.unwrap();

        in_time(upload).await.unwrap();
        assert_eq!(Answer::parse(&answers).status, status);
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
        assert!(seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn t6_over_http2_only_the_refused_stream_ends() {
    for (config, status) in refusals() {
        let ingress = start_with(config, telling(&Arc::default())).await;
        let mut client = http2(ingress.address).await;
        for _ in 0..3 {
            let body = Full::new(Bytes::from(vec![b'x'; LARGE]));
            let request = http::Request::post("http://a/").body(body).unwrap();
            let response = in_time(client.send_request(request)).await.unwrap();
            assert_eq!(response.status(), status);
        }
    }
}
