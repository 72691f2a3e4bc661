//! Bodies larger than any buffer, byte for byte.

use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{Bus, Tool, needs, within};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ok;
use crate::programs::{Gateway, gateway_and_daemon};

const BYTES: usize = 300_000_000;
/// An odd size, not aligned with chunks, frames or buffers.
const PATTERN_BYTES: usize = 65_521;
/// For unoptimised programs on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn pattern() -> Vec<u8> {
    (0..PATTERN_BYTES as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// Writes all the bytes.
async fn write(stream: &mut (impl AsyncWrite + Unpin)) {
    let pattern = pattern();
    let mut left = BYTES;
    while left > 0 {
        let piece = &pattern[..left.min(PATTERN_BYTES)];
        stream.write_all(piece).await.unwrap();
        left -= piece.len();
    }
}

/// Reads all the bytes, and compares each; `bytes` are the first of them.
async fn check(mut bytes: Vec<u8>, stream: &mut (impl AsyncRead + Unpin)) {
    let pattern = pattern();
    let mut left = BYTES;
    while left > 0 {
        let expected = &pattern[..left.min(PATTERN_BYTES)];
        while bytes.len() < expected.len() {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{left} bytes are missing");
        }
        assert!(bytes[..expected.len()] == *expected, "wrong bytes, {left} bytes before the end");
        bytes.drain(..expected.len());
        left -= expected.len();
    }
    assert!(bytes.is_empty(), "more bytes than were sent");
}

async fn connect(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(gateway.url.trim_start_matches("http://")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_arrives_complete() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let origin = RawOrigin::bind().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = connect(&gateway).await;
    let head =
        format!("PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {BYTES}\r\nConnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let receive = async {
        let mut backend = origin.accept().await;
        let head = backend.head().await;
        assert_eq!(head.header("content-length"), Some(BYTES.to_string().as_str()));
        let (mut stream, bytes) = backend.into_parts();
        check(bytes.to_vec(), &mut stream).await;
        stream.write_all(&ok("all there")).await.unwrap();
    };

    let (mut answers, mut uploads) = client.split();
    within(PATIENCE, async { tokio::join!(write(&mut uploads), receive) }).await;

    let mut answer = String::new();
    within(PATIENCE, answers.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("all there"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_download_arrives_complete() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let origin = RawOrigin::bind().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = connect(&gateway).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let send = async {
        let mut backend = origin.accept().await;
        backend.request().await;
        let (mut stream, _) = backend.into_parts();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        write(&mut stream).await;
        stream
    };
    let receive = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&head));
        check(Vec::new(), &mut client).await;
        // Nothing follows.
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    };

    within(PATIENCE, async { tokio::join!(send, receive) }).await;
}
