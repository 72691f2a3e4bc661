//! Starts the chain: gateway, NATS server, reverse daemon and backend, as separate processes on loopback.

use std::net::SocketAddr;

use h8s_benches::programs::{Gateway, Programs, listens, role};
use h8s_benches::{Memory, TrackedProcess};
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually, http_client};

use crate::native;

/// A long request timeout: the response head of an upload arrives after the whole upload.
const PATIENCE: &[&str] = &["--request-timeout", "5m"];

/// The running chain. `backend` is the address that the daemon forwards requests to.
pub(crate) struct Chain {
    pub(crate) gateway: Gateway,
    pub(crate) backend: SocketAddr,
    nats: NatsServer,
    daemon: Process,
    backend_process: Process,
}

impl Chain {
    /// Starts the chain with this program in the given role as backend.
    pub(crate) async fn start(backend_role: &str) -> Self {
        let programs = Programs::built();
        let nats = NatsServer::start().await;
        let gateway = Gateway::start(programs, &nats.url(), PATIENCE).await;
        let mut backend_process = role(&[backend_role]);
        let backend = listens(&mut backend_process).await;
        let mut daemon = programs.command("h8srd");
        daemon.args(["--hostname", "127.0.0.1", "--nats-url", &nats.url()]);
        let mut daemon = Process::start(daemon.args(["--backend-url", &format!("http://{backend}")]));
        daemon.wait_for_line(": ready").await;
        Self { gateway, backend, nats, daemon, backend_process }
    }

    /// Waits until a request through the gateway gets 200.
    pub(crate) async fn answers(&self, path: &str) {
        let url = format!("http://{}{path}", self.gateway.address);
        eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
    }

    /// Starts a native responder on the same NATS server.
    pub(crate) async fn native(&self) -> Process {
        let mut process = role(&[native::ROLE, &self.nats.url()]);
        process.wait_for_line("ready").await;
        process
    }

    pub(crate) fn gateway(&self) -> TrackedProcess {
        TrackedProcess::of("h8sd", &self.gateway.process)
    }

    pub(crate) fn daemon(&self) -> TrackedProcess {
        TrackedProcess::of("h8srd", &self.daemon)
    }

    pub(crate) fn backend(&self) -> TrackedProcess {
        TrackedProcess::of("backend", &self.backend_process)
    }

    pub(crate) fn nats(&mut self) -> TrackedProcess {
        TrackedProcess::of("nats-server", self.nats.process())
    }

    /// All processes from the client to the backend.
    pub(crate) fn all(&mut self) -> Vec<TrackedProcess> {
        vec![self.gateway(), self.nats(), self.daemon(), self.backend()]
    }

    /// Tracks the memory of gateway and daemon from now on.
    pub(crate) fn memory(&self) -> Memory {
        Memory::watch(&[self.gateway(), self.daemon()])
    }
}
