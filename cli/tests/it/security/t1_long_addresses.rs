//! T1: addresses longer than nats-server's control line (4 KiB), after which it closes the connection.

use h8s_test_support::http_client::{HttpClient, empty};
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::{Tool, needs};
use http::Request;

use crate::monitored::Monitored;
use crate::programs::{Gateway, Host};

const NORMAL_CLIENTS: usize = 4;
const NORMAL_REQUESTS_EACH: usize = 250;
/// Around the limits of a control line, a subject, a head and a pipe.
const LENGTHS: [usize; 9] = [1 << 10, 2 << 10, 4000, 4096, 5000, 6 << 10, 16 << 10, 32 << 10, 64 << 10];

/// The statuses of all responses; each request uses a new connection.
async fn send_hostile(url: &str) -> Vec<(String, u16)> {
    let mut statuses = Vec::new();
    for length in LENGTHS {
        let (one, many) = ("x".repeat(length), "/x".repeat(length / 2));
        for (what, path, host) in [
            ("one segment", format!("/{one}"), "127.0.0.1".to_owned()),
            ("many segments", many, "127.0.0.1".to_owned()),
            ("escapes", format!("/{}", "%2e".repeat(length / 3)), "127.0.0.1".to_owned()),
            ("query", format!("/?{one}"), "127.0.0.1".to_owned()),
            ("host", "/".to_owned(), one.clone()),
            ("labels", "/".to_owned(), "x.".repeat(length / 2)),
            ("long host and path", format!("/{}", "y".repeat(length)), "a.".repeat(100) + "example"),
        ] {
            let mut client = RawClient::connect(url).await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            client.send(request).await;
            statuses.push((format!("{what} {length}"), client.response().await.head.status));
        }
    }
    statuses
}

async fn send_normal(url: String) -> usize {
    let mut client = HttpClient::http1(&url).await;
    let mut good = 0;
    for n in 0..NORMAL_REQUESTS_EACH {
        let (status, ..) = client.exchange(Request::get(format!("/{n}")).body(empty()).unwrap()).await;
        good += usize::from(status == 200);
    }
    good
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t1_long_addresses_harm_nobody() {
    needs!(Tool::NatsServer);
    // given a gateway whose connections to NATS are known
    let server = Monitored::start().await;
    let _host = Host::start(&server.nats.url(), &[("/*", "hello")], &[]).await;
    let gateway = Gateway::start(&server.nats.url(), &[]).await;
    let ids =
        async || -> Vec<u64> { server.gateway_connections().await.iter().map(|each| each.id).collect() };
    let before = ids().await;
    let threads = std::thread::available_parallelism().unwrap().get();
    assert_eq!(before.len(), 2 * threads);
    // when normal and hostile requests arrive at the same time
    let normal = (0..NORMAL_CLIENTS).map(|_| tokio::spawn(send_normal(gateway.url.clone())));
    let normal: Vec<_> = normal.collect();
    let hostile = send_hostile(&gateway.url).await;
    // then every normal one is served
    for client in normal {
        assert_eq!(client.await.unwrap(), NORMAL_REQUESTS_EACH);
    }
    // and every hostile one has a response: those for the served host the page, unless the head is too long
    for (what, status) in &hostile {
        let expected: &[u16] = match what.as_str() {
            what if what.ends_with("65536") => &[400, 414, 431],
            what if what.starts_with("host") || what.starts_with("labels") => &[400],
            what if what.starts_with("long host") => &[503],
            _ => &[200],
        };
        assert!(expected.contains(status), "{what}: {status}");
    }
    // and the gateway has never been disconnected
    assert_eq!(ids().await, before);
    assert!(!gateway.process.output().contains("NATS disconnected"));
}
