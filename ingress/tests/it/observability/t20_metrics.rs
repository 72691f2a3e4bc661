//! T20: no data from a client becomes a metric's label.

use std::fmt::Write;

use crate::support::*;

/// The number of series.
async fn series(ingress: &Running) -> usize {
    let page = ingress.admin("/metrics").await.body;
    page.lines().filter(|line| line.starts_with("h8s_")).count()
}

/// Sends requests on one connection, each with its own method, host and path, and waits for all responses.
async fn ask(ingress: &Running, numbers: std::ops::Range<u32>) {
    let mut client = ingress.connect().await;
    let (mut requests, count) = (String::new(), numbers.len());
    for number in numbers {
        // Hashed, so that similar names are not adjacent.
        let n = number.wrapping_mul(2_654_435_761);
        write!(
            requests,
            "M{n:X} /{n}/{n:x}?q={n} HTTP/1.1\r\nHost: h{n:x}.example\r\nX-Request-Id: {n}\r\n\r\n"
        )
        .unwrap();
    }
    let (mut reader, mut writer) = client.stream.split();
    let write =
        async { tokio::io::AsyncWriteExt::write_all(&mut writer, requests.as_bytes()).await.unwrap() };
    let read = async {
        let (mut seen, mut answered) = (Vec::new(), 0);
        while answered < count {
            seen.clear();
            assert_ne!(tokio::io::AsyncReadExt::read_buf(&mut reader, &mut seen).await.unwrap(), 0);
            answered += seen.iter().filter(|byte| **byte == b'!').count();
        }
    };
    in_time(async { tokio::join!(write, read) }).await;
}

#[tokio::test]
async fn t20_twenty_thousand_paths_hosts_and_methods_make_no_series() {
    let ingress = start(Closure::new(|_, request| async move {
        let mut response = whole("!");
        let is_odd = request.uri().path().len() % 2 == 1;
        *response.status_mut() = if is_odd { http::StatusCode::OK } else { http::StatusCode::NOT_FOUND };
        Ok(response)
    }))
    .await;
    ask(&ingress, 0..100).await;
    let before = series(&ingress).await;

    ask(&ingress, 100..20_000).await;

    assert_eq!(series(&ingress).await, before);
    assert!(before > 20, "{before}");
}
