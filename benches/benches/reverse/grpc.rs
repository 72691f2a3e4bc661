//! Measures gRPC through the chain: unary calls, and one long stream.

mod bytes_codec;
mod client;
mod server;

use std::time::{Duration, Instant};

use h8s_benches::{Clock, Spread, TrackedProcess, Used};
use h8s_test_support::eventually;

use crate::setup::Chain;
use client::Client;

pub(crate) use server::{ROLE, run};

const CONNECTIONS: usize = 4;
/// Concurrent calls, over all connections.
const CALLS: usize = 64;
/// Rounds of each scenario, in turns.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(800);
/// The target of unary calls per second.
const TARGET_RATE: f64 = 5_000.0;
/// Messages of the stream without a limit of messages in flight.
const MESSAGES: u64 = 1_000_000;
/// Messages of the stream with a limit of messages in flight.
const PACED_MESSAGES: u64 = 200_000;
const UNDER_WAY: usize = CALLS;

/// The calls of one scenario.
struct Scenario {
    name: &'static str,
    client: Client,
    processes: Vec<TrackedProcess>,
    times: Vec<Duration>,
    used: Used,
}

pub(crate) async fn measure() {
    let mut chain = Chain::start(ROLE).await;
    let straight = Client::connect(chain.backend, CONNECTIONS).await;
    let chained = Client::connect(chain.gateway.address, CONNECTIONS).await;
    eventually("calls are answered", async || chained.is_answered().await).await;
    println!("grpc: {CALLS} calls at once on {CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?} each");
    let bench = TrackedProcess { name: "clients", id: std::process::id() };
    let backend = vec![chain.backend(), bench];
    let processes = [chain.all(), vec![bench]].concat();
    let mut scenarios =
        [Scenario::new("backend", straight, backend), Scenario::new("chain", chained, processes)];
    for scenario in &scenarios {
        scenario.client.round(CALLS, ROUND).await;
    }
    for _ in 0..ROUNDS {
        for scenario in &mut scenarios {
            scenario.round().await;
        }
    }
    let memory = chain.memory();
    for scenario in scenarios {
        scenario.show();
        scenario.conversation("as fast as they go", MESSAGES, MESSAGES as usize).await;
        scenario.conversation("few at a time", PACED_MESSAGES, UNDER_WAY).await;
    }
    memory.show();
}

impl Scenario {
    fn new(name: &'static str, client: Client, processes: Vec<TrackedProcess>) -> Self {
        Self { name, client, processes, times: Vec::new(), used: Used::default() }
    }

    async fn round(&mut self) {
        let clock = Clock::start(&self.processes);
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
        let (clock, begin) = (Clock::start(&self.processes), Instant::now());
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
