//! Small requests over kept connections: straight to the backend, to a responder that does nothing, through the chain.

use std::net::SocketAddr;
use std::time::Duration;

use h8s_benches::{Kind, Load, Member, answer};

use crate::backend;
use crate::stand::Chain;

const CONNECTIONS: [usize; 3] = [1, 64, 256];
/// Of each kind, in turns.
const ROUNDS: u32 = 6;
const ROUND: Duration = Duration::from_millis(500);
/// The chain's requests a second, of those of the responder that does nothing.
const TARGET_RATE: f64 = 0.6;
/// What the daemon and its backend add to a request, in requests straight to the backend.
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
    let behind_gateway = [vec![chain.gateway(), nats, Member::of("responder", &native)], chain.all()];
    for connections in CONNECTIONS {
        let [for_native, for_chain] = behind_gateway.clone();
        let load = |address, path| load(address, path, connections);
        let mut kinds = [
            Kind::new("backend", load(chain.backend, "/straight/hello"), vec![chain.backend()]),
            Kind::new("native", load(gateway, "/native/hello"), for_native),
            Kind::new("chain", load(gateway, "/chained/hello"), for_chain),
        ];
        // The bench's own threads have nothing else to do.
        tokio::task::block_in_place(|| Kind::take_turns(&mut kinds, ROUNDS, ROUND));
        show(connections, kinds);
    }
}

fn load(address: SocketAddr, path: &str, connections: usize) -> Load {
    Load::open(address, answer::get(address, path).into_bytes(), backend::ANSWER, connections)
}

fn show(connections: usize, kinds: [Kind; 3]) {
    let measured = kinds.map(|kind| {
        let kind = kind.measured();
        println!(
            "  {connections:3} {:8}{:7.0}/s  {:8.1?} p50, {:8.1?} p99   cpu {}",
            kind.name,
            kind.rate,
            kind.times.median(),
            kind.times.at(99),
            kind.used.each(kind.count)
        );
        (kind.rate, kind.times.median())
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
