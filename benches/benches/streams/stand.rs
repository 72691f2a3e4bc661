//! Gateway, NATS server, native responder, and a host with a component that echoes; each a process, on loopback.

use std::net::SocketAddr;

use h8s_benches::programs::{Gateway, Programs, role};
use h8s_benches::{Member, Memory};
use h8s_test_support::guests::guest;
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually, http_client};

use crate::responder;

/// Where the component is.
pub(crate) const ECHO: &str = "/echo";

/// All of them, ready.
pub(crate) struct Stand {
    gateway: Gateway,
    nats: NatsServer,
    responder: Process,
    host: Process,
    memory: Memory,
}

impl Stand {
    pub(crate) async fn start() -> Self {
        let programs = Programs::built();
        let nats = NatsServer::start().await;
        let mut responder = role(&[responder::ROLE, &nats.url()]);
        responder.wait_for_line("ready").await;
        let mut host = programs.command("h8s-host");
        host.args(["--host", "127.0.0.1", "--path", ECHO, "--nats-url", &nats.url()]);
        // The slow part is slow for longer than a guest may usually take.
        let mut host = Process::start(host.args(["--timeout", "10m"]).arg(guest("echo")));
        host.wait_for_line("h8s_host: ready").await;
        let gateway = Gateway::start(programs, &nats.url(), &["--request-timeout", "5m"]).await;
        for path in [responder::SMALL, ECHO] {
            let url = format!("http://{}{path}", gateway.address);
            eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
        }
        let members = [("h8sd", &gateway.process), ("responder", &responder), ("h8s-host", &host)];
        let memory = Memory::watch(&members.map(|(name, process)| Member::of(name, process)));
        Self { gateway, nats, responder, host, memory }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address
    }

    fn gateway(&self) -> Member {
        Member::of("h8sd", &self.gateway.process)
    }

    /// Who is on the way to the native responder.
    pub(crate) fn for_responder(&mut self) -> Vec<Member> {
        let nats = Member::of("nats-server", self.nats.process());
        vec![self.gateway(), nats, Member::of("responder", &self.responder)]
    }

    /// Who is on the way to the component.
    pub(crate) fn for_component(&mut self) -> Vec<Member> {
        let nats = Member::of("nats-server", self.nats.process());
        vec![self.gateway(), nats, Member::of("h8s-host", &self.host)]
    }

    /// The processes that use the library, from their idle time on.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }
}
