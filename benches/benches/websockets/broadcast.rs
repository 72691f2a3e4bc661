//! Measures one broadcast, one push per connection, and a loop that only writes.

use bytes::Bytes;
use h8s_benches::programs::Gateway;
use h8s_benches::usage::raise_descriptors;
use h8s_benches::{Cost, Meter};
use h8s_nats::Connections;
use h8s_test_support::NatsServer;
use h8s_wire::push::Audience;
use h8s_wire::{ConnectionId, Message, MessageKind};

use crate::client;
use crate::raw::RawLoop;
use crate::readers::{Order, Readers};
use crate::setup;

const CONNECTIONS: usize = 5_000;
const MESSAGE_BYTES: usize = 128;
/// Messages per round, sent without a pause. A round ends when all clients have received all of them.
const MESSAGES: usize = 5;
/// Deliveries per round.
const DELIVERIES: usize = CONNECTIONS * MESSAGES;
/// Rounds of each scenario, in turns, so that other activity on the machine affects all alike.
const ROUNDS: usize = 20;
/// Warm-up rounds, which fill caches and buffers.
const WARM_UP: usize = 3;

pub(crate) async fn measure() {
    raise_descriptors();
    let message = Message { kind: MessageKind::Binary, data: Bytes::from(vec![b'x'; MESSAGE_BYTES]) };
    let frame = [&client::head(0x82, 0, MESSAGE_BYTES)[..], &message.data].concat();
    let mut setup = Setup::start(frame.len()).await;
    let mut raw = RawLoop::start(CONNECTIONS, MESSAGES, frame).await;

    let (mut broadcasts, mut singles, mut writes) = <(Cost, Cost, Cost)>::default();
    for round in 0..WARM_UP + ROUNDS {
        setup.broadcast(&message, &mut broadcasts).await;
        setup.each(&message, &mut singles).await;
        raw.round(MESSAGES, &mut writes).await;
        if round + 1 == WARM_UP {
            (broadcasts, singles, writes) = Default::default();
        }
    }
    show(&broadcasts, &singles, &writes);
}

fn show(broadcast: &Cost, single: &Cost, raw: &Cost) {
    let row = |name: &str, cost: &Cost| {
        let (thousands, cpu) = (cost.rate(DELIVERIES) / 1000.0, cost.each(DELIVERIES));
        println!(
            "  {name:22}{thousands:6.0}k/s   {:6.1?} p50, {:6.1?} p90   cpu {cpu:5.1?} each",
            cost.median(),
            cost.at(90)
        );
    };
    println!(
        "broadcast: {MESSAGE_BYTES} bytes to {CONNECTIONS} connections, {MESSAGES} times in a row, {ROUNDS} rounds"
    );
    row("one broadcast", broadcast);
    row("one push for each", single);
    row("a loop that writes", raw);
    let (broadcast, single, raw) =
        (broadcast.rate(DELIVERIES), single.rate(DELIVERIES), raw.rate(DELIVERIES));
    println!("  a broadcast is {:.1} times one push per connection   target 3", broadcast / single);
    println!(
        "  a broadcast is {:.2} of the loop               target 250k/s where the loop makes 400k/s",
        broadcast / raw
    );
}

/// A gateway with all connections.
struct Setup {
    connections: Connections,
    ids: Vec<ConnectionId>,
    /// The processes whose time counts: sender, NATS server and gateway.
    processes: Vec<u32>,
    readers: Readers,
    _gateway: Gateway,
    _responder: h8s_nats::Responder,
    _nats: NatsServer,
}

impl Setup {
    async fn start(frame_bytes: usize) -> Self {
        let mut nats = NatsServer::start().await;
        let responder = setup::quiet(&nats.url()).await;
        let gateway = setup::gateway(&nats.url()).await;
        let round_bytes = DELIVERIES * frame_bytes;
        let order =
            Order { address: gateway.address, count: CONNECTIONS, path: Some("/".into()), round_bytes };
        let readers = Readers::start(&order).await;
        let connections = setup::connections(&nats.url()).await;
        let ids: Vec<_> = connections.list(&setup::host()).iter().map(|entry| entry.connection).collect();
        assert_eq!(ids.len(), CONNECTIONS, "the registry knows them all");
        let ids_of_others = [nats.process().id(), gateway.process.id()];
        let processes = ids_of_others.into_iter().flatten().chain([std::process::id()]).collect();
        Self { connections, ids, processes, readers, _gateway: gateway, _responder: responder, _nats: nats }
    }

    /// Publishes each message once, until all clients have received it.
    async fn broadcast(&mut self, message: &Message, cost: &mut Cost) {
        let meter = Meter::start(&self.processes);
        for _ in 0..MESSAGES {
            let sent = self.connections.broadcast(&setup::host(), &Audience::All, message).await;
            sent.expect("a broadcast is published");
        }
        self.readers.round().await;
        meter.stop(cost);
    }

    /// Publishes each message once per client, until all have received it.
    async fn each(&mut self, message: &Message, cost: &mut Cost) {
        let meter = Meter::start(&self.processes);
        for _ in 0..MESSAGES {
            for id in &self.ids {
                self.connections.send(&setup::host(), *id, message).await.expect("a push is published");
            }
        }
        self.readers.round().await;
        meter.stop(cost);
    }
}
