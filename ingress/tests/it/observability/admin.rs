//! The admin listener: health checks and metrics.

use h8s_ingress::Availability;

use http_body_util::BodyExt;

use crate::support::*;

#[tokio::test]
async fn readyz_follows_the_upstream_and_names_the_reason() {
    let (sender, availability) = tokio::sync::watch::channel(Availability::Learning);
    let ingress = start(hello().available(availability)).await;

    for (now, status, reason) in [
        (Availability::Learning, 503, "learning routes"),
        (Availability::Ready, 200, "ready"),
        (Availability::Disconnected, 503, "disconnected from NATS"),
        (Availability::Ready, 200, "ready"),
    ] {
        sender.send_replace(now);
        let answer = ingress.admin("/readyz").await;
        assert_eq!(answer.status, status);
        assert!(answer.body.contains(reason), "{answer:?}");
        assert_eq!(ingress.admin("/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn clients_do_not_reach_the_operators_pages() {
    let ingress = start(hello()).await;

    assert_eq!(ingress.ask("GET /metrics HTTP/1.1\nHost: a\n").await.body, "hello");
    assert_eq!(ingress.admin("/hello").await.status, 404);
}

#[tokio::test]
async fn responses_and_refusals_are_counted() {
    let ingress = start(hello()).await;

    ingress.ask("GET / HTTP/1.1\nHost: a\n").await;
    ingress.ask("GET / HTTP/1.1\nHost: a..b\n").await;

    assert_eq!(ingress.metric("h8s_ingress_responses_total", "2xx").await, 1.0);
    assert_eq!(ingress.metric("h8s_ingress_responses_total", "4xx").await, 1.0);
    assert_eq!(ingress.metric("h8s_ingress_rescued_total", "\"host\"").await, 1.0);
    assert_eq!(ingress.metric("h8s_ingress_response_head_seconds_count", "").await, 2.0);
    assert_eq!(ingress.metric("h8s_ingress_response_body_bytes_total", "").await, 5.0);
}

#[tokio::test]
async fn the_bytes_of_bodies_are_counted_as_they_are_read() {
    let ingress = start(Closure::new(|_, request| async move {
        request.into_body().collect().await.unwrap();
        Ok(whole("done"))
    }))
    .await;

    ingress.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nConnection: close\r\n\r\nseven!!").await;

    assert_eq!(ingress.metric("h8s_ingress_request_body_bytes_total", "").await, 7.0);
}

#[tokio::test]
async fn t20_a_hundred_thousand_random_paths_and_hosts_make_no_new_series() {
    const CONNECTIONS: u64 = 4;
    let ingress = start(hello()).await;
    ingress.ask("GET / HTTP/1.1\nHost: a\n").await;
    let series = |page: String| page.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(ingress.admin("/metrics").await.body);

    let clients = (0..CONNECTIONS).map(|client| random_paths(&ingress, client, 100_000 / CONNECTIONS));
    futures_util::future::join_all(clients).await;

    assert_eq!(series(ingress.admin("/metrics").await.body), before);
    assert_eq!(ingress.metric("h8s_ingress_responses_total", "2xx").await, 100_001.0);
}

/// Pipelines requests, a hundred at a time.
async fn random_paths(ingress: &Running, seed: u64, count: u64) {
    use std::fmt::Write;
    const BATCH: u64 = 100;
    let mut client = ingress.connect().await;
    let mut random = seed;
    for _ in 0..count / BATCH {
        let mut batch = String::new();
        for _ in 0..BATCH {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(batch, "GET /{random} HTTP/1.1\r\nHost: h{random}.example\r\n\r\n").unwrap();
        }
        client.send(&batch).await;
        for _ in 0..BATCH {
            client.until("hello").await;
        }
    }
}
