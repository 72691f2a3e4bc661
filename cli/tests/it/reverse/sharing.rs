//! T18 and T19: several daemons, and clients of different speeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use h8s_test_support::http_client::{HttpClient, empty, get};
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{Bus, Tool, needs, over_both_buses, soon};
use http::Request;
use tokio::io::AsyncWriteExt as _;

use super::{echoing_origin, ok};
use crate::programs::{Daemon, Gateway, gateway_and_daemon};

const REQUESTS: usize = 240;
const CLIENTS: usize = 8;

over_both_buses! {
    async fn t18_each_request_is_executed_once(bus) {
        // given three daemons, each with a different name for the same backend
        let origin = echoing_origin().await;
        let mut daemons = Vec::new();
        for name in ["one.internal", "two.internal", "three.internal"] {
            daemons.push(Daemon::start(&bus.url(), &origin.url(), &["--host-header", name]).await);
        }
        let gateway = Gateway::start(&bus.url(), &[]).await;
        // when
        join_all((0..CLIENTS).map(|client| ask(&gateway.url, client))).await;
        // then the backend has seen each request once, and each daemon has its share
        let requests = origin.requests();
        let mut targets: Vec<_> = requests.iter().map(|request| request.head.target.clone()).collect();
        targets.sort();
        targets.dedup();
        assert_eq!((requests.len(), targets.len(), origin.faults()), (REQUESTS, REQUESTS, vec![]));
        for name in ["one.internal", "two.internal", "three.internal"] {
            assert!(requests.iter().any(|request| request.head.header("host") == Some(name)), "{name}");
        }
    }

    async fn a_daemon_that_drains_hands_over_without_errors(bus) {
        let origin = echoing_origin().await;
        let mut leaving = Daemon::start(&bus.url(), &origin.url(), &[]).await;
        let _staying = Daemon::start(&bus.url(), &origin.url(), &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let clients = (0..CLIENTS).map(|client| ask(&gateway.url, client));

        let ((), _) = tokio::join!(async { leaving.process.terminate() }, join_all(clients));

        assert!(leaving.process.wait_for_exit().await.success());
        assert_eq!(origin.requests().len(), REQUESTS);
    }

    async fn one_slow_request_delays_no_other(bus) {
        // given a backend that does not answer one client, and a stalled upload
        let origin = RawOrigin::bind().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let mut waiting = RawClient::connect(&gateway.url).await;
        waiting.send("GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        let mut slow = origin.accept().await;
        slow.request().await;
        let mut uploading = RawClient::connect(&gateway.url).await;
        uploading.send("PUT /up HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nbegun").await;
        let mut stuck = origin.accept().await;
        stuck.head().await;
        // then the others are answered at once
        let origin = origin.serve(|_| ok("fast"));
        let begin = Instant::now();
        for _ in 0..50 {
            assert_eq!(get(&gateway.url).await.2, "fast");
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        slow.send(ok("at last")).await;
        assert_eq!(waiting.response().await.text(), "at last");
        assert_eq!(origin.faults(), Vec::<String>::new());
    }
}

/// Sends this client's share of the requests, and checks each response.
async fn ask(url: &str, client: usize) {
    let mut http = HttpClient::http1(url).await;
    for number in 0..REQUESTS / CLIENTS {
        let path = format!("/{client}/{number}");
        let (status, _, body) = http.exchange(Request::get(&path).body(empty()).unwrap()).await;
        assert_eq!((status.as_u16(), &body[..]), (200, format!("GET {path}").as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_who_does_not_read_stops_its_backend_and_nobody_else() {
    needs!(Tool::NatsServer);
    // given a client that requests a large body and reads nothing
    let bus = Bus::real().await;
    let origin = RawOrigin::bind().await;
    let (gateway, daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut stalled = RawClient::connect(&gateway.url).await;
    stalled.send("GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    let mut backend = origin.accept().await;
    backend.request().await;
    let (mut stream, _) = backend.into_parts();
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let sending = tokio::spawn(async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
        while stream.write_all(&[7; 65_536]).await.is_ok() {
            counted.fetch_add(65_536, Ordering::Relaxed);
        }
    });
    // when it has stopped,
    let taken = settled(&written).await;
    // then little is buffered, others are answered, and both programs stay small
    assert!(taken < 40_000_000, "{taken} bytes are buffered");
    let _origin = origin.serve(|_| ok("others"));
    for _ in 0..50 {
        assert_eq!(get(&gateway.url).await.2, "others");
    }
    for process in [&daemon.process, &gateway.process] {
        let kib = memory_kib(process.id().unwrap());
        assert!(kib < 200_000, "{kib} KiB");
    }
    // and when it leaves, the backend's response is cancelled
    stalled.reset();
    soon(sending).await.unwrap();
}

/// The bytes written when the count has not changed for a while.
async fn settled(written: &AtomicUsize) -> usize {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        match written.load(Ordering::Relaxed) {
            now if now == before && now > 0 => return now,
            now => before = now,
        }
    }
}

/// Resident memory.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
