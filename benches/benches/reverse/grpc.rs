//! gRPC through the chain: single calls, and one long conversation.

mod bytes_codec;
mod client;
mod server;

use std::time::{Duration, Instant};

use h8s_benches::{Clock, Member, Spread, Used};
use h8s_test_support::eventually;

use crate::stand::Chain;
use client::Client;

pub(crate) use server::{ROLE, run};

const CONNECTIONS: usize = 4;
/// Calls that are under way at the same time, on all connections.
const CALLS: usize = 64;
/// Of each kind, in turns.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(800);
/// Single calls a second.
const TARGET_RATE: f64 = 5_000.0;
/// Of one conversation, as fast as they go: what is there at once travels together.
const MESSAGES: u64 = 1_000_000;
/// Of one in which few are under way, each as soon as another has come back.
const PACED_MESSAGES: u64 = 200_000;
const UNDER_WAY: usize = CALLS;

/// Calls of one kind.
struct Kind {
    name: &'static str,
    client: Client,
    members: Vec<Member>,
    times: Vec<Duration>,
    used: Used,
}

pub(crate) async fn measure() {
    let mut chain = Chain::start(ROLE).await;
    let straight = Client::connect(chain.backend, CONNECTIONS).await;
    let chained = Client::connect(chain.gateway.address, CONNECTIONS).await;
    eventually("calls are answered", async || chained.is_answered().await).await;
    println!("grpc: {CALLS} calls at once on {CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?} each");
    let bench = Member { name: "clients", id: std::process::id() };
    let backend = vec![chain.backend(), bench];
    let members = [chain.all(), vec![bench]].concat();
    let mut kinds = [Kind::new("backend", straight, backend), Kind::new("chain", chained, members)];
    for kind in &kinds {
        kind.client.round(CALLS, ROUND).await;
    }
    for _ in 0..ROUNDS {
        for kind in &mut kinds {
            kind.round().await;
        }
    }
    let memory = chain.memory();
    for kind in kinds {
        kind.show();
        kind.conversation("as fast as they go", MESSAGES, MESSAGES as usize).await;
        kind.conversation("few at a time", PACED_MESSAGES, UNDER_WAY).await;
    }
    memory.show();
}

impl Kind {
    fn new(name: &'static str, client: Client, members: Vec<Member>) -> Self {
        Self { name, client, members, times: Vec::new(), used: Used::default() }
    }

    async fn round(&mut self) {
        let clock = Clock::start(&self.members);
        self.times.extend(self.client.round(CALLS, ROUND).await);
        clock.stop(&mut self.used);
    }

    fn show(&self) {
        let count = self.times.len();
        let spread = Spread::of(self.times.clone());
        println!(
            "  {:8}{:7.0} calls/s   target {TARGET_RATE}   {:8.1?} p50, {:8.1?} p99   cpu {}",
            self.name,
            count as f64 / (ROUND * ROUNDS as u32).as_secs_f64(),
            spread.median(),
            spread.at(99),
            self.used.each(count)
        );
    }

    async fn conversation(&self, how: &str, messages: u64, under_way: usize) {
        let (clock, begin) = (Clock::start(&self.members), Instant::now());
        self.client.conversation(messages, under_way).await;
        let rate = messages as f64 / begin.elapsed().as_secs_f64();
        let mut used = Used::default();
        clock.stop(&mut used);
        println!(
            "  {:8}{:7.0}k messages/s there and back, {messages} in order, {how}   cpu {}",
            self.name,
            rate / 1000.0,
            used.each(messages as usize)
        );
    }
}
