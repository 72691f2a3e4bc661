//! T17: NATS or a host is lost: an error at once, never a hang, and recovery without a restart.

use std::time::Duration;

use futures_util::StreamExt as _;
use h8s_test_support::http_client;
use h8s_test_support::{eventually, over_both_buses, soon, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::programs::{Gateway, Host, gateway_and_host};

/// A host that vanishes is detected after three missed beats of 5 s.
const NOTICED: Duration = Duration::from_secs(25);

/// Sends a request; the response is still to be read.
async fn ask(gateway: &Gateway, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.url.trim_start_matches("http://")).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The last bytes before the connection ends.
async fn last_bytes(mut stream: TcpStream) -> Vec<u8> {
    let mut last = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    // A reset counts as the end.
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        last.extend_from_slice(&buffer[..count]);
        last.drain(..last.len().saturating_sub(1024));
    }
    last
}

over_both_buses! {
    async fn t17_nats_goes_and_comes_back(mut bus) {
        let (gateway, _host) = gateway_and_host(&bus).await;
        assert_eq!(gateway.status("/hello").await, 200);

        bus.stop().await;
        eventually("the gateway is not ready", async || !gateway.is_ready().await).await;
        let (status, headers, _) = gateway.get("/hello").await;
        assert_eq!((status.as_u16(), headers["retry-after"].to_str().unwrap()), (503, "5"));
        assert_eq!(http_client::get(&format!("{}/healthz", gateway.operators)).await.0.as_u16(), 200);

        bus.restart().await;
        eventually("the gateway is ready", async || gateway.is_ready().await).await;
        eventually("the component answers", async || gateway.status("/hello").await == 200).await;
    }

    async fn t17_a_host_is_killed_and_another_takes_over(bus) {
        let (gateway, mut host) = gateway_and_host(&bus).await;
        assert_eq!(gateway.status("/hello").await, 200);

        host.process.kill().await;
        for _ in 0..20 {
            // 504 for a request that was in flight before the server noticed.
            let status = gateway.status("/hello").await;
            assert!(matches!(status, 502..=504), "{status}");
        }

        let _another = Host::start(&bus.url(), &[("/*", "hello")], &[]).await;
        eventually("the component answers", async || gateway.status("/hello").await == 200).await;
    }

    async fn t17_a_host_is_killed_before_it_answers(bus) {
        // given a request that a component has accepted, and does not answer
        let mut host = Host::start(&bus.url(), &[("/*", "guests")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &["--request-timeout", "60s"]).await;
        let watcher = async_nats::connect(bus.url()).await.unwrap();
        let mut frames = watcher.subscribe("h8s.inbox.gw.>").await.unwrap();
        watcher.flush().await.unwrap();
        let client = ask(&gateway, "/never-answer").await;
        soon(frames.next()).await.unwrap();
        // when its host is killed
        host.process.kill().await;
        // then the client gets an error
        let answer = within(NOTICED, last_bytes(client)).await;
        assert!(answer.starts_with(b"HTTP/1.1 502 "), "{:?}", String::from_utf8_lossy(&answer));
    }

    async fn t17_a_host_is_killed_in_the_middle_of_a_body(bus) {
        let mut host = Host::start(&bus.url(), &[("/*", "guests")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = ask(&gateway, "/endless-stream").await;
        let mut beginning = [0; 12];
        soon(client.read_exact(&mut beginning)).await.unwrap();
        assert_eq!(&beginning, b"HTTP/1.1 200");

        host.process.kill().await;

        // A complete body would end with the empty chunk.
        let end = within(NOTICED, last_bytes(client)).await;
        assert!(!end.ends_with(b"0\r\n\r\n"), "a truncated body looked complete");
    }
}
