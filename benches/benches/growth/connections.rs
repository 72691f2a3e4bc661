//! The number of open connections at the gateway. Each number has its own gateway; NATS server and responder are shared.

use h8s_benches::programs::{Gateway, Programs, role};
use h8s_benches::usage::raise_descriptors;
use h8s_benches::{Load, Report, TrackedProcess, answer};
use h8s_test_support::{NatsServer, eventually, http_client};

use crate::range::{self, Range};
use crate::responder::{self, ANSWER};

/// The numbers of connections.
const OPEN: [usize; 4] = [1, 100, 1_000, 8_000];
/// The number of concurrent requests, unless it is one.
const CONCURRENCY: usize = 32;
/// All clients have one address, and idle connections must stay open.
const FLAGS: &[&str] = &["--max-connections-per-address", "20000", "--idle-timeout", "1h"];

pub(crate) async fn measure(report: &mut Report) {
    println!("connections: open at the gateway, keep-alive HTTP/1.1, each used before");
    raise_descriptors();
    let mut nats = NatsServer::start().await;
    let mut responder = role(&[responder::ROLE, &nats.url(), "1"]);
    responder.wait_for_line("ready").await;
    let shared =
        [TrackedProcess::of("nats-server", nats.process()), TrackedProcess::of("responder", &responder)];
    let mut one = Range::new("by open connections, 1 active, the others idle");
    let mut some = Range::new("by open connections, 32 active, the others idle");
    let mut all = Range::new("by open connections, 32 active at a time, all in turn");
    let mut gateways = Vec::new();
    for open in OPEN {
        let gateway = start(&nats.url()).await;
        let load = |count| load(&gateway, count);
        let gateway_process = TrackedProcess::of("h8sd", &gateway.process);
        let processes = [&[gateway_process], shared.as_slice()].concat();
        one.add(open, load(1), &processes);
        // The rest takes turns, or is idle while 1 or 32 send requests: `open` in all.
        if open > 1 {
            some.add(open, load(CONCURRENCY), &processes);
            all.add(open, load(CONCURRENCY).with_more(open - 2 * CONCURRENCY - 1), &processes);
        }
        gateways.push(gateway);
    }
    range::measure(vec![one, some, all], report);
}

async fn start(nats_url: &str) -> Gateway {
    let gateway = Gateway::start(Programs::built(), nats_url, FLAGS).await;
    let url = format!("http://{}{}", gateway.address, responder::path(0));
    eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
    gateway
}

fn load(gateway: &Gateway, count: usize) -> Load {
    let request = answer::get(gateway.address, &responder::path(0));
    Load::open(gateway.address, request.into_bytes(), ANSWER, count)
}
