//! T7: HTTP/2 floods that are cheap for clients and expensive for servers. A limit stops each flood, other clients are
//! served meanwhile, and the gateway's memory does not grow.

use h8s_test_support::http2_client::{self, END_HEADERS, END_STREAM, Http2Client, frame, kind};

use crate::protection::attacked::Attacked;

/// Allows for memory that the allocator keeps after a flood, and for pages that the gateway first touches after the
/// initial measurement. The floods are many times as large.
const MOST_GROWTH: usize = 96 << 20;
const ENHANCE_YOUR_CALM: u32 = 11;

fn hang(stream: u32) -> Vec<u8> {
    http2_client::get_frame(stream, "app.example", "/hang")
}

/// Begins and resets streams until the connection is closed. Returns the number sent, and the reason for the close.
async fn reset_streams(url: &str, most: usize, at_a_time: u32, waits: bool) -> (usize, Option<u32>) {
    let mut client = Http2Client::connect(url, &[]).await;
    let mut first = 1;
    let mut sent = 0;
    let mut is_open = true;
    while is_open && sent < most {
        let streams = (0..at_a_time).map(|n| first + 2 * n);
        let begun: Vec<u8> = streams.clone().flat_map(hang).collect();
        let ended: Vec<u8> = streams.flat_map(http2_client::reset_frame).collect();
        is_open =
            client.send(begun).await && (!waits || client.round_trip().await) && client.send(ended).await;
        sent += at_a_time as usize;
        first += 2 * at_a_time;
    }
    assert!(!waits || !is_open, "{sent} streams were reset without consequence");
    (sent, client.goaway().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_a_hundred_thousand_resets_take_no_more_places_than_there_are() {
    // A low limit: even a loaded machine exceeds it many times within a second.
    let gateway = Attacked::start(&["--max-exchanges-per-connection", "40"]).await;
    let before = gateway.resident_bytes();
    let neighbour = gateway.neighbour();
    let mut sent = 0;
    let mut connections = 0;
    while sent < 100_000 {
        // Resets before the gateway handles the streams, and after.
        let waits = connections % 2 == 1;
        let (now, reason) = reset_streams(&gateway.url(), 5_000, 100, waits).await;
        assert!(reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM), "{reason:?}");
        sent += now;
        connections += 1;
    }
    // One connection has up to 40 at a time; some earlier connections are still closing.
    let most = gateway.most_hanging();
    assert!(most <= sent / 100, "{most} of {sent} at once");
    neighbour.was_served().await;
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes");
    for limit in ["exchanges_per_connection", "resets"] {
        assert!(gateway.limited(limit).await >= 1.0, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_a_head_without_an_end_ends_the_connection() {
    let gateway = Attacked::start(&[]).await;
    let neighbour = gateway.neighbour();
    let field = http2_client::literal("x", &"y".repeat(1_000));
    for part in [&[][..], &field] {
        let mut client = Http2Client::connect(&gateway.url(), &[]).await;
        client
            .send(frame(kind::HEADERS, END_STREAM, 1, &http2_client::get_block("app.example", "/", &[])))
            .await;

        client.send(frame(kind::CONTINUATION, 0, 1, part).repeat(1_000)).await;

        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM));
    }
    neighbour.was_served().await;
    assert_eq!(gateway.limited("flood").await, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_pings_and_settings_are_answered_only_as_far_as_the_answers_are_read() {
    let gateway = Attacked::start(&["--write-timeout", "1s"]).await;
    let before = gateway.resident_bytes();
    let neighbour = gateway.neighbour();
    for flood in [frame(kind::PING, 0, 0, &[0; 8]), frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        let mut client = Http2Client::connect(&gateway.url(), &[]).await;
        let written = gateway.limited("write").await;
        let flood = flood.repeat(10_000);
        // The gateway closes a client that reads nothing; until then the client blocks on its own writes.
        let mut sent = 0;
        while sent < 10_000 && client.send(&flood).await {
            sent += 1;
        }
        assert!(sent < 10_000);
        assert_eq!(gateway.limited("write").await, written + 1.0);
    }
    neighbour.was_served().await;
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes");
}

/// A field of 3,000 bytes that is stored in the table, and referenced by one byte each time.
fn packed(times: usize) -> Vec<u8> {
    let mut kept = http2_client::literal("x", &"y".repeat(3_000));
    // RFC 7541 §6.2.1: literal, indexed; then §6.1: the newest entry, by its index.
    kept[0] = 0x40;
    let mut block = http2_client::get_block("app.example", "/", &[]);
    block.extend(kept);
    block.extend(vec![0x80 | 62; times]);
    block
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_a_head_that_grows_when_it_is_unpacked_is_431_or_ends_the_connection() {
    let gateway = Attacked::start(&[]).await;
    let before = gateway.resident_bytes();
    let neighbour = gateway.neighbour();
    let head = |stream, times| frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &packed(times));
    let mut client = Http2Client::connect(&gateway.url(), &[]).await;
    client.send(head(1, 30)).await;
    let refused = client.next(kind::HEADERS).await.unwrap();
    assert_eq!((refused.stream, refused.flags & END_STREAM), (1, END_STREAM));
    assert!(client.round_trip().await);
    for _ in 0..100 {
        let mut client = Http2Client::connect(&gateway.url(), &[]).await;
        client.send(head(1, 12_000)).await;
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM));
    }
    neighbour.was_served().await;
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes");
    assert_eq!(gateway.limited("flood").await, 100.0);
    assert_eq!(gateway.metric("h8s_ingress_responses_total", "4xx").await, 0.0, "none became an exchange");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_empty_pieces_of_a_body_end_the_connection() {
    let gateway = Attacked::start(&[]).await;
    let neighbour = gateway.neighbour();
    let mut client = Http2Client::connect(&gateway.url(), &[]).await;
    let mut block = http2_client::get_block("app.example", "/hang", &[]);
    block[0] = 0x83; // `:method: POST`
    client.send(frame(kind::HEADERS, END_HEADERS, 1, &block)).await;

    let empty = frame(kind::DATA, 0, 1, &[]).repeat(1_000);
    let mut sent = 0;
    while sent < 10_000 && client.send(&empty).await {
        sent += 1;
    }

    assert!(sent < 10_000);
    neighbour.was_served().await;
    assert!(gateway.limited("flood").await >= 1.0);
}
