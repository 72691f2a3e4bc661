//! The table in `docs/operations/limits.md`: each row is driven against a gateway with a low limit. The client's result, the
//! counter and the default must match the row.

use std::future::pending;
use std::time::{Duration, Instant};

use clap::CommandFactory;
use h8s_ingress::{Config, Flags, Limits, RequestBodyError, WebSocketConfig};
use h8s_nats::ExchangeError;
use h8s_test_support::http2_client::{self, END_HEADERS, Http2Client, RawFrame, kind};
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;

use crate::support::*;

const PAGE: &str = include_str!("../../../../docs/operations/limits.md");
/// The timeout for clients that stall.
const SHORT: Duration = Duration::from_millis(100);

struct Row {
    limit: &'static str,
    default: String,
    flag: String,
    gets: &'static str,
    counted: String,
}

fn rows() -> Vec<Row> {
    let section = PAGE.split("\n## Limits\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [limit, default, flag, gets, counted] = cells[..] else { panic!("{line}") };
            let name = |cell: &str| cell.replace(['`', '—'], "");
            Row {
                limit,
                gets,
                default: default.replace([' ', ','], ""),
                flag: name(flag),
                counted: name(counted),
            }
        })
        .collect()
}

#[test]
fn the_defaults_are_the_flags_own() {
    let flags = Flags::command();
    let mut checked = 0;
    for row in rows().iter().filter(|row| !row.flag.is_empty() && !row.default.contains("ten")) {
        let named = |flag: &&clap::Arg| flag.get_long() == row.flag.strip_prefix("--");
        let flag = flags.get_arguments().find(named).unwrap_or_else(|| panic!("no {}", row.flag));
        let default: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        assert_eq!(default.join("").replace("none", ""), row.default.replace("none", ""), "{}", row.flag);
        checked += 1;
    }
    assert_eq!(checked, 14);
}

#[tokio::test]
async fn each_row_is_what_a_client_gets() {
    for row in rows() {
        let (ingress, got) = drive(row.limit).await;
        assert!(row.gets.starts_with(&got), "{}: {got:?}, not {:?}", row.limit, row.gets);
        if !row.counted.is_empty() {
            let label = format!("limit=\"{}\"", row.counted);
            let counted = async || ingress.metric("h8s_ingress_limited_total", &label).await >= 1.0;
            h8s_test_support::eventually(row.limit, counted).await;
        }
    }
}

async fn drive(limit: &str) -> (Running, String) {
    match limit {
        "client connections" => all_connections().await,
        "connections of one address, or one IPv6 /64" => connections_of_one_address().await,
        "time for the TLS handshake, or for the first bytes" => slow_opening().await,
        "time for a request head, from its first byte (HTTP/1)" => slow_head().await,
        "size of a request head" => large_head().await,
        "fields of a request head" => many_fields().await,
        "size of a request target (HTTP/1; over HTTP/2, 431)" => large_target().await,
        "size of a request body" => large_body().await,
        "time without progress of a request body that is waited for" => slow_body().await,
        "time without progress of data that waits for the client" => slow_reader().await,
        "time without requests on a connection" => idle().await,
        "exchanges in flight" => exchanges().await,
        "exchanges of one connection, in flight or reset by the client within the last second" => {
            exchanges_of_one_connection().await
        }
        "exchanges of one connection, reset or refused within one second" => far_too_many_resets().await,
        other if other.starts_with("HTTP/2 abuse") => abuse().await,
        "pause for new connections of an address, after one of the two above" => pause().await,
        "WebSockets" => websockets().await,
        other => panic!("no test drives {other:?}"),
    }
}

async fn with(limits: Limits, upstream: Closure) -> Running {
    start_with(Config { limits, ..Config::default() }, upstream).await
}

/// An upstream that waits for whole bodies.
fn reading() -> Closure {
    Closure::new(|_, request| async move {
        match request.into_body().collect().await {
            Ok(_) => Ok(whole("hello")),
            Err(error @ RequestBodyError::Client(_)) => panic!("{error}"),
            Err(error) => Err(ExchangeError::RequestBody(std::sync::Arc::new(error.into()))),
        }
    })
}

/// An upstream that never answers.
fn silent() -> Closure {
    Closure::new(|_, _| pending())
}

/// A client's first response: status, close and `Retry-After`, as the table writes them.
fn status_of(seen: &str) -> String {
    let answer = Answer::parse(seen);
    let closed = if answer.field("connection") == Some("close") { ", closed" } else { "" };
    let retry = answer.field("retry-after").map_or("", |_| ", `Retry-After`");
    format!("{}{closed}{retry}", answer.status)
}

async fn all_connections() -> (Running, String) {
    let ingress = start_with(Config { max_connections: 1, ..Config::default() }, hello()).await;
    let mut first = ingress.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    first.until("hello").await;
    let mut second = ingress.connect().await;
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(ingress.metric("h8s_ingress_accepted_connections_total", "").await, 1.0);

    drop(first);

    second.until("hello").await;
    (ingress, "it waits until another connection closes".to_owned())
}

async fn connections_of_one_address() -> (Running, String) {
    let ingress = with(Limits { connections_per_address: 1, ..Limits::default() }, hello()).await;
    let mut first = ingress.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    first.until("hello").await;

    let seen = ingress.connect().await.try_rest().await.unwrap_or_else(|(seen, _)| seen);

    assert_eq!(seen, "");
    drop(first);
    ingress.metric_becomes("h8s_ingress_connections", "", 0.0).await;
    ingress.ask("GET / HTTP/1.1\nHost: a\n").await;
    (ingress, "closed at once".to_owned())
}

async fn slow_opening() -> (Running, String) {
    let ingress = with(Limits { handshake_timeout: SHORT, ..Limits::default() }, hello()).await;

    assert_eq!(ingress.connect().await.try_rest().await.unwrap_or_else(|(seen, _)| seen), "");

    (ingress, "closed".to_owned())
}

async fn slow_head() -> (Running, String) {
    let ingress = with(Limits { header_timeout: SHORT, ..Limits::default() }, hello()).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("hello").await;

    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;

    let got = status_of(&client.rest().await);
    (ingress, got)
}

async fn large_head() -> (Running, String) {
    let ingress = with(Limits { head_bytes: 200, ..Limits::default() }, hello()).await;
    let head = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes));
    let mut client = ingress.connect().await;
    client.send(&head(200 - head(0).len())).await;
    client.until("hello").await;

    client.send(&head(201 - head(0).len())).await;
    let got = status_of(&client.until("too large.\n").await);

    // The connection stays usable, and HTTP/2 behaves the same.
    client.send(&head(1)).await;
    client.until("hello").await;
    let mut request = get("http://a/");
    request.headers_mut().insert("x", "x".repeat(200).parse().unwrap());
    let mut client = http2(ingress.address).await;
    assert_eq!(in_time(client.send_request(request)).await.unwrap().status(), 431);
    (ingress, got)
}

async fn many_fields() -> (Running, String) {
    let ingress = with(Limits { fields: 20, ..Limits::default() }, hello()).await;
    let fields = |count| "X: y\n".repeat(count);
    let fitting = ingress.ask(&format!("GET / HTTP/1.1\nHost: a\n{}", fields(18))).await;
    assert_eq!(fitting.status, 200);

    let got = ingress.ask(&format!("GET / HTTP/1.1\nHost: a\n{}", fields(19))).await.status;

    let mut request = get("http://a/");
    for _ in 0..21 {
        request.headers_mut().append("x", "y".parse().unwrap());
    }
    let mut client = http2(ingress.address).await;
    assert_eq!(in_time(client.send_request(request)).await.unwrap().status(), 431);
    (ingress, got.to_string())
}

async fn large_target() -> (Running, String) {
    let ingress = start(hello()).await;
    let target = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    let mut client = Http2Client::connect(&ingress.address.to_string(), &[]).await;
    let block = http2_client::get_block("a", &target(65_535), &[]);
    let (first, rest) = block.split_at(16_000);
    client.send(http2_client::frame(kind::HEADERS, http2_client::END_STREAM, 1, first)).await;
    for (n, part) in rest.chunks(16_000).enumerate() {
        let is_last = (n + 1) * 16_000 >= rest.len();
        let flags = if is_last { END_HEADERS } else { 0 };
        client.send(http2_client::frame(kind::CONTINUATION, flags, 1, part)).await;
    }
    assert!(is_status(&client.next(kind::HEADERS).await.unwrap(), "431"));

    let seen = ingress.raw(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(65_535))).await;

    (ingress, status_of(&seen))
}

/// Whether the response's field block has this status, as a literal or from the static table.
fn is_status(head: &RawFrame, status: &str) -> bool {
    let is_plain = head.payload.windows(status.len()).any(|window| window == status.as_bytes());
    // 431, 429 and 408 are not in the table; h2 Huffman-codes digits (RFC 7541 appendix B), 5 or 6 bits each.
    let huffman = |digits: &str| -> Vec<u8> {
        let mut bits = 0_u64;
        let mut count = 0;
        for digit in digits.bytes() {
            let (code, length) = match digit {
                b'0'..=b'2' => (u64::from(digit - b'0'), 5),
                _ => (0x19 + u64::from(digit - b'3'), 6),
            };
            bits = bits << length | code;
            count += length;
        }
        let padding = (8 - count % 8) % 8;
        bits = bits << padding | ((1 << padding) - 1);
        bits.to_be_bytes()[8 - (count + padding) / 8..].to_vec()
    };
    let coded = huffman(status);
    is_plain || head.payload.windows(coded.len()).any(|window| window == coded)
}

async fn large_body() -> (Running, String) {
    let ingress = start_with(Config { max_body_bytes: Some(4), ..Config::default() }, reading()).await;

    let seen =
        ingress.raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");

    let got = Answer::parse(&seen.await).status;
    (ingress, got.to_string())
}

async fn slow_body() -> (Running, String) {
    let ingress = with(Limits { body_timeout: SHORT, ..Limits::default() }, reading()).await;

    let seen = ingress.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell").await;

    let answer = Answer::parse(&seen);
    assert_eq!(answer.field("connection"), Some("close"));
    (ingress, answer.status.to_string())
}

/// A response without an end.
fn endless() -> Closure {
    Closure::new(|_, _| async {
        let piece = || bytes::Bytes::from_static(&[b'x'; 64 << 10]);
        let frames = futures_util::stream::repeat_with(move || Ok(http_body::Frame::data(piece())));
        Ok(http::Response::new(http_body_util::StreamBody::new(frames).boxed_unsync()))
    })
}

async fn slow_reader() -> (Running, String) {
    let ingress = with(Limits { write_timeout: SHORT, ..Limits::default() }, endless()).await;
    let mut stalled = ingress.connect().await;
    stalled.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    ingress.metric_becomes("h8s_ingress_limited_total", "write", 1.0).await;
    // The kernel's buffered bytes arrive first, then the reset.
    let mut all = Vec::new();
    let ended = in_time(stalled.stream.read_to_end(&mut all)).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

    // Over HTTP/2 only the stream with the closed window is reset.
    let mut client = Http2Client::connect(&ingress.address.to_string(), &[(4, 10)]).await;
    client.send(http2_client::get_frame(1, "a", "/")).await;
    assert_eq!(client.next(kind::RST_STREAM).await.unwrap().stream, 1);
    assert!(client.round_trip().await);
    (ingress, "a reset".to_owned())
}

async fn idle() -> (Running, String) {
    let limits = Limits { idle_timeout: SHORT, ..Limits::default() };
    let ingress = with(limits, hello()).await;
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("hello").await;

    assert_eq!(client.rest().await, "");

    // Over HTTP/2 the client receives a GOAWAY, even without a request. The close needs no reply.
    let mut client = Http2Client::connect(&ingress.address.to_string(), &[]).await;
    let goaway = client.next(kind::GOAWAY).await.unwrap();
    assert_eq!(goaway.payload[4..8], [0, 0, 0, 0]);
    (ingress, "closed".to_owned())
}

async fn exchanges() -> (Running, String) {
    let ingress = with(Limits { exchanges: 1, ..Limits::default() }, silent()).await;
    let mut first = ingress.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 1.0).await;

    let answer = ingress.ask("GET / HTTP/1.1\nHost: a\n").await;

    assert!(answer.field("retry-after").is_some());
    (ingress, format!("{}, `Retry-After`", answer.status))
}

async fn exchanges_of_one_connection() -> (Running, String) {
    let ingress = with(Limits { exchanges_per_connection: 3, ..Limits::default() }, silent()).await;
    let mut client = Http2Client::connect(&ingress.address.to_string(), &[]).await;
    // Two exchanges stay, and the client resets the third: its place is not free immediately.
    client.send([1, 3, 5].map(|stream| http2_client::get_frame(stream, "a", "/")).concat()).await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 3.0).await;
    client.send(http2_client::reset_frame(5)).await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 2.0).await;

    client.send(http2_client::get_frame(7, "a", "/")).await;

    let refused = client.next(kind::HEADERS).await.unwrap();
    assert_eq!(refused.stream, 7);
    assert!(is_status(&refused, "429"), "{refused:?}");
    // Another connection has its own limit.
    let mut other = Http2Client::connect(&ingress.address.to_string(), &[]).await;
    other.send(http2_client::get_frame(1, "a", "/")).await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 3.0).await;
    // A second or two later, the place is free.
    let mut stream = 9;
    let get_through = async {
        loop {
            client.send(http2_client::get_frame(stream, "a", "/")).await;
            client.round_trip().await;
            if ingress.metric("h8s_ingress_exchanges_in_flight", "").await == 4.0 {
                break;
            }
            stream += 2;
            tokio::time::sleep(SHORT).await;
        }
    };
    in_time(get_through).await;
    (ingress, "429, `Retry-After`".to_owned())
}

async fn far_too_many_resets() -> (Running, String) {
    let ingress = with(Limits { exchanges_per_connection: 3, ..Limits::default() }, silent()).await;
    let mut client = Http2Client::connect(&ingress.address.to_string(), &[]).await;

    for stream in (1..).step_by(2) {
        let asked = client.send(http2_client::get_frame(stream, "a", "/")).await && client.round_trip().await;
        if !asked || !client.send(http2_client::reset_frame(stream)).await {
            break;
        }
    }

    assert_eq!(client.goaway().await, Some(11));
    (ingress, "`GOAWAY` (`ENHANCE_YOUR_CALM`), closed".to_owned())
}

async fn abuse() -> (Running, String) {
    let ingress = with(Limits::default(), silent()).await;

    flood(&ingress).await;

    (ingress, "`GOAWAY` (`ENHANCE_YOUR_CALM`), closed".to_owned())
}

/// Resets streams before they are accepted, until the connection is closed.
async fn flood(ingress: &Running) {
    let mut client = Http2Client::connect(&ingress.address.to_string(), &[]).await;
    assert!(client.round_trip().await);
    let stream =
        |stream| [http2_client::get_frame(stream, "a", "/"), http2_client::reset_frame(stream)].concat();

    client.send((0..1_000).map(|n| stream(2 * n + 1)).collect::<Vec<_>>().concat()).await;

    assert_eq!(client.goaway().await, Some(11));
}

async fn pause() -> (Running, String) {
    let limits = |abuse_pause| Limits { abuse_pause, ..Limits::default() };
    let ingress = with(limits(Duration::from_secs(2)), hello()).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut open = ingress.connect().await;
    open.send(request).await;
    open.until("hello").await;
    flood(&ingress).await;
    let sent_away = Instant::now();
    ingress.metric_becomes("h8s_ingress_limited_total", "flood", 1.0).await;

    let mut waiting = ingress.connect().await;
    waiting.send(request).await;

    // Open connections continue.
    open.send(request).await;
    open.until("hello").await;
    waiting.until("hello").await;
    assert!(sent_away.elapsed() > Duration::from_secs(1), "answered {:?} later", sent_away.elapsed());
    (ingress, "it waits until the pause is over".to_owned())
}

async fn websockets() -> (Running, String) {
    let websockets = WebSocketConfig { max_open: 1, ..WebSocketConfig::default() };
    let ingress = start_with(Config { websockets, ..Config::default() }, hello().never_opening()).await;
    let upgrade = "GET / HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: upgrade\nSec-WebSocket-Version: 13\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
    let mut first = ingress.connect().await;
    first.send(&format!("{upgrade}\n").replace('\n', "\r\n")).await;
    ingress.metric_becomes("h8s_ingress_exchanges_in_flight", "", 1.0).await;

    let mut second = ingress.connect().await;
    second.send(&format!("{upgrade}\n").replace('\n', "\r\n")).await;

    let got = status_of(&second.until("are open.\n").await);
    (ingress, got)
}
