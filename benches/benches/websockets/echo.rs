//! Measures one message to a component and back, over a WebSocket and as an HTTP request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use h8s_benches::Spread;
use h8s_test_support::Bus;

use crate::client::Echo;
use crate::setup::{self, ComponentHost};

const MESSAGE_BYTES: usize = 128;
/// Rounds of each scenario, in turns of [`TURN`], so that other activity on the machine affects both alike.
const EXCHANGES: usize = 4_000;
const TURN: usize = 100;
/// Warm-up exchanges.
const WARM_UP: usize = 500;
const TARGET: f64 = 1.3;

pub(crate) async fn measure() {
    println!("echo: {MESSAGE_BYTES} bytes to a component and back, {EXCHANGES} times in sequence");
    for (name, bus) in [("embedded broker", Bus::embedded().await), ("nats-server", Bus::real().await)] {
        let served = [("/echo", "echo"), ("/websocket", "websocket-echo")];
        let _host = ComponentHost::start(&bus.url(), &served).await;
        let gateway = setup::gateway(&bus.url()).await;
        let address = gateway.address;
        let (websocket, http) =
            tokio::task::spawn_blocking(move || both(address)).await.expect("both are measured");
        let row = |kind: &str, spread: &Spread| {
            println!(
                "  {name:16} {kind:10} {:8.1?} p50, {:8.1?} p90, {:8.1?} p99",
                spread.median(),
                spread.at(90),
                spread.at(99)
            );
        };
        row("WebSocket", &websocket);
        row("HTTP", &http);
        let ratio = websocket.median().as_secs_f64() / http.median().as_secs_f64();
        println!("  {name:16} a WebSocket's p50 is {ratio:.2} of HTTP's   target {TARGET}");
    }
}

/// The times over WebSocket and over HTTP.
fn both(address: SocketAddr) -> (Spread, Spread) {
    let mut websocket = Echo::websocket(address, "/websocket", MESSAGE_BYTES);
    let mut http = Echo::http(address, "/echo", MESSAGE_BYTES);
    timed(&mut websocket, WARM_UP);
    timed(&mut http, WARM_UP);
    let (mut websockets, mut requests) = (Vec::new(), Vec::new());
    for _ in 0..EXCHANGES / TURN {
        websockets.extend(timed(&mut websocket, TURN));
        requests.extend(timed(&mut http, TURN));
    }
    (Spread::of(websockets), Spread::of(requests))
}

fn timed(echo: &mut Echo, count: usize) -> Vec<Duration> {
    let one = |_| {
        let begin = Instant::now();
        echo.exchange();
        begin.elapsed()
    };
    (0..count).map(one).collect()
}
