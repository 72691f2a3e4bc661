//! Announced patterns. Each number has a NATS server, a gateway and a responder of its own: who announces is heard by all
//! gateways of a server.

use h8s_benches::programs::{Gateway, Programs, role};
use h8s_benches::{Load, Member, Report, answer};
use h8s_test_support::{NatsServer, Process, eventually, http_client};

use crate::range::{self, Range};
use crate::responder::{self, ANSWER};

/// How many patterns are announced.
const ANNOUNCED: [usize; 3] = [1, 100, 1_000];
/// Requests under way at once, each on a connection of its own.
const LANES: usize = 64;

/// One responder's patterns, and who is on the way to it.
struct Stand {
    gateway: Gateway,
    nats: NatsServer,
    responder: Process,
}

pub(crate) async fn measure(report: &mut Report) {
    println!("patterns: announced by one responder, {LANES} requests at a time");
    let mut stands = Vec::new();
    let mut one = Range::new("of so many patterns, one is asked for");
    let mut all = Range::new("of so many patterns, all are asked for in turn");
    for count in ANNOUNCED {
        let mut stand = Stand::start(count).await;
        let members = stand.members();
        one.add(count, stand.load(0..1), &members);
        all.add(count, stand.load(0..count), &members);
        stands.push(stand);
    }
    range::measure(vec![one, all], report);
}

impl Stand {
    async fn start(patterns: usize) -> Self {
        let nats = NatsServer::start().await;
        let mut responder = role(&[responder::ROLE, &nats.url(), &patterns.to_string()]);
        responder.wait_for_line("ready").await;
        let gateway = Gateway::start(Programs::built(), &nats.url(), &[]).await;
        // What was announced last is heard last.
        let url = format!("http://{}{}", gateway.address, responder::path(patterns - 1));
        eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
        Self { gateway, nats, responder }
    }

    fn members(&mut self) -> Vec<Member> {
        vec![
            Member::of("h8sd", &self.gateway.process),
            Member::of("nats-server", self.nats.process()),
            Member::of("responder", &self.responder),
        ]
    }

    fn load(&self, patterns: std::ops::Range<usize>) -> Load {
        let request = |pattern| answer::get(self.gateway.address, &responder::path(pattern)).into_bytes();
        Load::open_in_turn(self.gateway.address, patterns.map(request).collect(), ANSWER, LANES)
    }
}
