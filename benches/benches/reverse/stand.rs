//! The chain: gateway, NATS server, reverse daemon and backend, each a process, on loopback.

use std::net::SocketAddr;

use h8s_benches::programs::{Gateway, Programs, listens, role};
use h8s_benches::{Member, Memory};
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually, http_client};

use crate::native;

/// The gateway waits so long for a response's head; that of an upload comes when all of it is there.
const PATIENCE: &[&str] = &["--request-timeout", "5m"];

/// All of them, ready. `backend` is what the daemon passes requests on to.
pub(crate) struct Chain {
    pub(crate) gateway: Gateway,
    pub(crate) backend: SocketAddr,
    nats: NatsServer,
    daemon: Process,
    backend_process: Process,
}

impl Chain {
    /// With this program in one of its roles as the backend.
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

    /// Waits until the gateway's way leads to a 200.
    pub(crate) async fn answers(&self, path: &str) {
        let url = format!("http://{}{path}", self.gateway.address);
        eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
    }

    /// A responder that does nothing, on the same bus.
    pub(crate) async fn native(&self) -> Process {
        let mut process = role(&[native::ROLE, &self.nats.url()]);
        process.wait_for_line("ready").await;
        process
    }

    pub(crate) fn gateway(&self) -> Member {
        Member::of("h8sd", &self.gateway.process)
    }

    pub(crate) fn daemon(&self) -> Member {
        Member::of("h8srd", &self.daemon)
    }

    pub(crate) fn backend(&self) -> Member {
        Member::of("backend", &self.backend_process)
    }

    pub(crate) fn nats(&mut self) -> Member {
        Member::of("nats-server", self.nats.process())
    }

    /// Everybody on the way, from the client to the backend.
    pub(crate) fn all(&mut self) -> Vec<Member> {
        vec![self.gateway(), self.nats(), self.daemon(), self.backend()]
    }

    /// What both of our programs have now, and from now on at most.
    pub(crate) fn memory(&self) -> Memory {
        Memory::watch(&[self.gateway(), self.daemon()])
    }
}
