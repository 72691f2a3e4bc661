//! Starts gateway, NATS server, native responder, and a host with an echo component, as separate processes on loopback.

use std::net::SocketAddr;

use h8s_benches::programs::{Gateway, Programs, role};
use h8s_benches::{Memory, TrackedProcess};
use h8s_test_support::guests::guest;
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually, http_client};

use crate::responder;

/// The path of the component.
pub(crate) const ECHO: &str = "/echo";

/// The running processes.
pub(crate) struct Setup {
    gateway: Gateway,
    nats: NatsServer,
    responder: Process,
    host: Process,
    memory: Memory,
}

impl Setup {
    pub(crate) async fn start() -> Self {
        let programs = Programs::built();
        let nats = NatsServer::start().await;
        let mut responder = role(&[responder::ROLE, &nats.url()]);
        responder.wait_for_line("ready").await;
        let mut host = programs.command("h8s-host");
        host.args(["--host", "127.0.0.1", "--path", ECHO, "--nats-url", &nats.url()]);
        // The slow part takes longer than a guest's default time limit.
        let mut host = Process::start(host.args(["--timeout", "10m"]).arg(guest("echo")));
        host.wait_for_line("h8s_host: ready").await;
        let gateway = Gateway::start(programs, &nats.url(), &["--request-timeout", "5m"]).await;
        for path in [responder::SMALL, ECHO] {
            let url = format!("http://{}{path}", gateway.address);
            eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
        }
        let processes = [("h8sd", &gateway.process), ("responder", &responder), ("h8s-host", &host)];
        let memory = Memory::watch(&processes.map(|(name, process)| TrackedProcess::of(name, process)));
        Self { gateway, nats, responder, host, memory }
    }

    /// The address for clients.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address
    }

    fn gateway(&self) -> TrackedProcess {
        TrackedProcess::of("h8sd", &self.gateway.process)
    }

    /// The processes of the chain to the native responder.
    pub(crate) fn for_responder(&mut self) -> Vec<TrackedProcess> {
        let nats = TrackedProcess::of("nats-server", self.nats.process());
        vec![self.gateway(), nats, TrackedProcess::of("responder", &self.responder)]
    }

    /// The processes of the chain to the component.
    pub(crate) fn for_component(&mut self) -> Vec<TrackedProcess> {
        let nats = TrackedProcess::of("nats-server", self.nats.process());
        vec![self.gateway(), nats, TrackedProcess::of("h8s-host", &self.host)]
    }

    /// Tracks the memory of the programs from their idle state on.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }
}
