//! The number of announced patterns. Each number has its own NATS server, gateway and responder, since announcements reach
//! all gateways of a server.

use h8s_benches::programs::{Gateway, Programs, role};
use h8s_benches::{Load, Report, TrackedProcess, answer};
use h8s_test_support::{NatsServer, Process, eventually, http_client};

use crate::range::{self, Range};
use crate::responder::{self, ANSWER};

/// The numbers of announced patterns.
const ANNOUNCED: [usize; 3] = [1, 100, 1_000];
/// The number of concurrent requests, each on its own connection.
const CONCURRENCY: usize = 64;

/// The patterns of one responder, and the processes of its chain.
struct Setup {
    gateway: Gateway,
    nats: NatsServer,
    responder: Process,
}

pub(crate) async fn measure(report: &mut Report) {
    println!("patterns: announced by one responder, {CONCURRENCY} concurrent requests");
    let mut stands = Vec::new();
    let mut one = Range::new("by announced patterns, requests to one");
    let mut all = Range::new("by announced patterns, requests to all in turn");
    for count in ANNOUNCED {
        let mut setup = Setup::start(count).await;
        let processes = setup.processes();
        one.add(count, setup.load(0..1), &processes);
        all.add(count, setup.load(0..count), &processes);
        stands.push(setup);
    }
    range::measure(vec![one, all], report);
}

impl Setup {
    async fn start(patterns: usize) -> Self {
        let nats = NatsServer::start().await;
        let mut responder = role(&[responder::ROLE, &nats.url(), &patterns.to_string()]);
        responder.wait_for_line("ready").await;
        let gateway = Gateway::start(Programs::built(), &nats.url(), &[]).await;
        // Announcements arrive in order, so the last one shows that all have arrived.
        let url = format!("http://{}{}", gateway.address, responder::path(patterns - 1));
        eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
        Self { gateway, nats, responder }
    }

    fn processes(&mut self) -> Vec<TrackedProcess> {
        vec![
            TrackedProcess::of("h8sd", &self.gateway.process),
            TrackedProcess::of("nats-server", self.nats.process()),
            TrackedProcess::of("responder", &self.responder),
        ]
    }

    fn load(&self, patterns: std::ops::Range<usize>) -> Load {
        let request = |pattern| answer::get(self.gateway.address, &responder::path(pattern)).into_bytes();
        Load::open_in_turn(self.gateway.address, patterns.map(request).collect(), ANSWER, CONCURRENCY)
    }
}
