//! Starts the programs as separate processes on loopback.

use std::time::Duration;

use h8s_benches::programs::{Gateway, Programs, role};
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually, http_client};

use crate::open_loop_load::Target;
use crate::responder;

/// The default duration of each load.
pub(crate) const TIME: Duration = Duration::from_secs(8);
/// Allocators return freed memory after some seconds.
pub(crate) const SETTLED: Duration = Duration::from_secs(5);

/// Gateway, NATS server and responder.
pub(crate) struct Setup {
    pub(crate) gateway: Gateway,
    _nats: NatsServer,
    _responder: Process,
}

impl Setup {
    /// Starts a gateway with these flags, and the native responder.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let nats = NatsServer::start().await;
        let mut responder = role(&[responder::ROLE, &nats.url()]);
        responder.wait_for_line("ready").await;
        let gateway = Gateway::start(Programs::built(), &nats.url(), flags).await;
        Self { gateway, _nats: nats, _responder: responder }
    }

    /// The target of the load, without TLS.
    pub(crate) fn target(&self) -> Target {
        Target { address: self.gateway.address, path: responder::SMALL, tls: None }
    }

    pub(crate) fn gateway_id(&self) -> u32 {
        self.gateway.process.id().expect("it runs")
    }
}

/// Waits until a request through the gateway gets 200.
pub(crate) async fn answers(gateway: &Gateway, path: &str) {
    let url = format!("http://{}{path}", gateway.address);
    eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
}
