//! Measures small requests over keep-alive connections: directly to the backend, to a native responder, through the chain.

use std::net::SocketAddr;
use std::time::Duration;

use h8s_benches::{Load, Scenario, TrackedProcess, answer};

use crate::backend;
use crate::setup::Chain;

const CONNECTIONS: [usize; 3] = [1, 64, 256];
/// Rounds of each scenario, in turns.
const ROUNDS: u32 = 6;
const ROUND: Duration = Duration::from_millis(500);
/// The target of the chain's requests per second, relative to the native responder.
const TARGET_RATE: f64 = 0.6;
/// The target of the time that daemon and backend add, relative to a direct request to the backend.
const TARGET_ADDED: f64 = 1.5;

pub(crate) async fn measure() {
    let mut chain = Chain::start(backend::ROLE).await;
    let native = chain.native().await;
    chain.answers("/native/hello").await;
    chain.answers("/chained/hello").await;
    println!(
        "requests: {} bytes, over kept connections, {ROUNDS} rounds of {ROUND:?} each",
        backend::ANSWER.len()
    );
    let (nats, gateway) = (chain.nats(), chain.gateway.address);
    let behind_gateway = [vec![chain.gateway(), nats, TrackedProcess::of("responder", &native)], chain.all()];
    for connections in CONNECTIONS {
        let [for_native, for_chain] = behind_gateway.clone();
        let load = |address, path| load(address, path, connections);
        let mut scenarios = [
            Scenario::new("backend", load(chain.backend, "/straight/hello"), vec![chain.backend()]),
            Scenario::new("native", load(gateway, "/native/hello"), for_native),
            Scenario::new("chain", load(gateway, "/chained/hello"), for_chain),
        ];
        // The bench's own threads have no other work.
        tokio::task::block_in_place(|| Scenario::take_turns(&mut scenarios, ROUNDS, ROUND));
        show(connections, scenarios);
    }
}

fn load(address: SocketAddr, path: &str, connections: usize) -> Load {
    Load::open(address, answer::get(address, path).into_bytes(), backend::ANSWER, connections)
}

fn show(connections: usize, scenarios: [Scenario; 3]) {
    let measured = scenarios.map(|scenario| {
        let scenario = scenario.measured();
        println!(
            "  {connections:3} {:8}{:7.0}/s  {:8.1?} p50, {:8.1?} p99   cpu {}",
            scenario.name,
            scenario.rate,
            scenario.times.median(),
            scenario.times.at(99),
            scenario.used.each(scenario.count)
        );
        (scenario.rate, scenario.times.median())
    });
    let [(_, straight), (native_rate, native), (chain_rate, chain)] = measured;
    if connections == 1 {
        let added = chain.saturating_sub(native).as_secs_f64() / straight.as_secs_f64();
        println!(
            "  {connections:3} the daemon adds {added:.2} of a request to the backend   target {TARGET_ADDED}"
        );
    } else {
        let ratio = chain_rate / native_rate;
        println!(
            "  {connections:3} the chain makes {ratio:.2} of the native responder's   target {TARGET_RATE}"
        );
    }
}
