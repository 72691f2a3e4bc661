//! Small requests over kept connections: straight to the backend, to a responder that does nothing, through the chain.

use std::time::Duration;

use h8s_benches::Spread;

use crate::backend;
use crate::load::Load;
use crate::stand::{Chain, Clock, Member, Used, member};

const CONNECTIONS: [usize; 3] = [1, 64, 256];
/// Of each kind, in turns, so that whatever else the machine does touches all alike.
const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_millis(500);
/// The chain's requests a second, of those of the responder that does nothing.
const TARGET_RATE: f64 = 0.6;
/// What the daemon and its backend add to a request, in requests straight to the backend.
const TARGET_ADDED: f64 = 1.5;

/// Requests of one kind.
struct Kind {
    name: &'static str,
    load: Load,
    members: Vec<Member>,
    times: Vec<Duration>,
    used: Used,
}

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
    let behind_gateway = [vec![chain.gateway(), nats, member("responder", &native)], chain.all()];
    for connections in CONNECTIONS {
        let [for_native, for_chain] = behind_gateway.clone();
        let mut kinds = [
            Kind::new(
                "backend",
                Load::open(chain.backend, "/straight/hello", connections),
                vec![chain.backend()],
            ),
            Kind::new("native", Load::open(gateway, "/native/hello", connections), for_native),
            Kind::new("chain", Load::open(gateway, "/chained/hello", connections), for_chain),
        ];
        // The bench's own threads have nothing else to do.
        tokio::task::block_in_place(|| take_turns(&mut kinds));
        show(connections, kinds);
    }
}

fn take_turns(kinds: &mut [Kind]) {
    kinds.iter_mut().for_each(|kind| drop(kind.load.round(ROUND)));
    for _ in 0..ROUNDS {
        kinds.iter_mut().for_each(Kind::round);
    }
}

impl Kind {
    fn new(name: &'static str, load: Load, members: Vec<Member>) -> Self {
        Self { name, load, members, times: Vec::new(), used: Used::default() }
    }

    fn round(&mut self) {
        let clock = Clock::start(&self.members);
        self.times.extend(self.load.round(ROUND));
        clock.stop(&mut self.used);
    }
}

fn show(connections: usize, kinds: [Kind; 3]) {
    let measured = kinds.map(|kind| {
        let count = kind.times.len();
        let spread = Spread::of(kind.times);
        let rate = count as f64 / (ROUND * ROUNDS as u32).as_secs_f64();
        println!(
            "  {connections:3} {:8}{rate:7.0}/s  {:8.1?} p50, {:8.1?} p99   cpu {}",
            kind.name,
            spread.median(),
            spread.at(99),
            kind.used.each(count)
        );
        (rate, spread.median())
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
