//! A gateway's and a responder's side of one bus.

use h8s_benches::heads;
use h8s_nats::{ConnectOptions, HttpService, Requester, RequesterConfig, Responder};
use h8s_test_support::{Bus, eventually};
use h8s_wire::{Host, Interest, MethodPattern};

/// Both sides, connected and ready.
pub(crate) struct Stand {
    pub(crate) requester: Requester,
    _responder: Responder,
}

impl Stand {
    /// `service` answers whatever `requester` sends to [`host`].
    pub(crate) async fn start<S: HttpService>(bus: &Bus, service: S) -> Self {
        let responder = Responder::builder(link(bus).await).serve(everything(), service).start().await;
        let requester = Requester::start(link(bus).await, RequesterConfig::default()).await;
        let requester = requester.expect("a requester starts");
        eventually("the requester is ready", async || requester.is_ready()).await;
        Self { requester, _responder: responder.expect("a responder starts") }
    }
}

pub(crate) fn host() -> Host {
    heads::HOST.parse().expect("it is a host")
}

fn everything() -> Interest {
    Interest { host: host(), path: "/*".parse().expect("it is a pattern"), method: MethodPattern::Any }
}

async fn link(bus: &Bus) -> h8s_nats::Bus {
    let config = ConnectOptions::new(&bus.url()).expect("a bus has a URL");
    h8s_nats::Bus::connect(config).await.expect("the bus can be connected to")
}
