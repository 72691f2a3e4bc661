//! The programs, each a process, on loopback.

use std::time::Duration;

use h8s_benches::programs::{Gateway, Programs, role};
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually, http_client};

use crate::responder;
use crate::steady::Target;

/// For how long each load runs, where nothing else says how long.
pub(crate) const TIME: Duration = Duration::from_secs(8);
/// Allocators give memory back some seconds after it was freed.
pub(crate) const SETTLED: Duration = Duration::from_secs(5);

/// Gateway, NATS server, and who answers.
pub(crate) struct Stand {
    pub(crate) gateway: Gateway,
    _nats: NatsServer,
    _responder: Process,
}

impl Stand {
    /// A gateway with these flags, and the native responder.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let nats = NatsServer::start().await;
        let mut responder = role(&[responder::ROLE, &nats.url()]);
        responder.wait_for_line("ready").await;
        let gateway = Gateway::start(Programs::built(), &nats.url(), flags).await;
        Self { gateway, _nats: nats, _responder: responder }
    }

    /// What is asked of it, in cleartext.
    pub(crate) fn target(&self) -> Target {
        Target { address: self.gateway.address, path: responder::SMALL, tls: None }
    }

    pub(crate) fn gateway_id(&self) -> u32 {
        self.gateway.process.id().expect("it runs")
    }
}

/// Waits until the gateway's way leads to a 200.
pub(crate) async fn answers(gateway: &Gateway, path: &str) {
    let url = format!("http://{}{path}", gateway.address);
    eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
}
