//! Measures the gateway's memory per idle connection, and the time until a new registry knows all connections.

use std::time::{Duration, Instant};

use h8s_benches::usage::resident_bytes;
use h8s_test_support::NatsServer;

use crate::readers::{Order, Readers};
use crate::setup;

const CONNECTIONS: usize = 8_000;
/// Allocators return freed memory after some seconds.
const SETTLED: Duration = Duration::from_secs(5);
const TARGET_BYTES: u64 = 16 * 1024;
const TARGET_LIST: Duration = Duration::from_secs(2);

pub(crate) async fn measure() {
    let nats = NatsServer::start().await;
    let _responder = setup::quiet(&nats.url()).await;
    let gateway = setup::gateway(&nats.url()).await;
    let id = gateway.process.id().expect("it runs");
    tokio::time::sleep(SETTLED).await;
    let before = resident_bytes(id);

    let order = Order {
        address: gateway.address,
        count: CONNECTIONS,
        path: Some("/".into()),
        round_bytes: usize::MAX,
    };
    let begin = Instant::now();
    let readers = Readers::start(&order).await;
    let opened = begin.elapsed();
    tokio::time::sleep(SETTLED).await;
    let each = (resident_bytes(id) - before) / CONNECTIONS as u64;

    let begin = Instant::now();
    let registry = setup::connections(&nats.url()).await;
    let listed = begin.elapsed();
    assert_eq!(registry.len(), CONNECTIONS, "the registry knows them all");

    println!("memory: {CONNECTIONS} idle connections, opened in {opened:.1?}");
    println!("  gateway without connections   {:6.1} MiB", before as f64 / (1 << 20) as f64);
    println!("  each connection               {:6.1} KiB   target {} KiB", kib(each), TARGET_BYTES / 1024);
    println!("  all known to a new registry   {listed:6.0?}      target {TARGET_LIST:?}");
    readers.end().await;
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
