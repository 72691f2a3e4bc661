//! All the servers, ready, each a process, on loopback.

use std::net::SocketAddr;

use h8s_benches::programs::{Gateway, Programs, listens, role};
use h8s_benches::{Member, heads};
use h8s_test_support::guests::guest;
use h8s_test_support::http_client::{HttpClient, empty};
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually};
use http::Request;
use http::header::HOST;

use crate::wasmtime::{Serving, Wasmtime};
use crate::{alone, naive, native, responder};

/// All clients come from one address, with some hundred connections of each kind.
const CONNECTIONS: &[&str] = &["--max-connections-per-address", "4000"];
/// What nobody announces: the gateway asks in the plain dialect.
const PLAIN_HOST: &str = "plain.example";
/// What the plain responder subscribes to (PROTOCOL.md §2).
const PLAIN_SUBJECT: &str = "h8s.http.*.example.plain._.>";
const COMPONENT_HOST: &str = "component.example";

/// One way to have the page.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// What is asked for decides who answers.
    pub(crate) host: &'static str,
    /// Everybody on the way.
    pub(crate) members: Vec<Member>,
}

/// All ways. They share one NATS server and one gateway, which has nothing to do for those whose turn it is not.
pub(crate) struct Stand {
    pub(crate) rows: Vec<Row>,
    /// What is to be known of them.
    pub(crate) remarks: Vec<String>,
    _nats: NatsServer,
    _gateway: Gateway,
    processes: Vec<Process>,
}

impl Stand {
    pub(crate) async fn start() -> Self {
        let programs = Programs::built();
        let mut nats = NatsServer::start().await;
        let url = nats.url();
        let nats_member = Member::of("nats-server", nats.process());
        let gateway = Gateway::start(programs, &url, CONNECTIONS).await;
        let gateway_member = Member::of("h8sd", &gateway.process);
        let (address, mut stand) = (gateway.address, Self::empty(nats, gateway));

        let (alone, alone_address) = server(&[alone::ROLE]).await;
        let alone = stand.runs("hyper", alone);
        stand.add("hyper", alone_address, heads::HOST, vec![alone]);

        let (naive, naive_address) = server(&[naive::ROLE, &url]).await;
        let naive = stand.runs("gateway", naive);
        let answering = stand.runs("responder", role(&[responder::ROLE, &url, naive::SUBJECT]));
        stand.add("naive", naive_address, heads::HOST, vec![naive, nats_member, answering]);

        let plain = stand.runs("responder", role(&[responder::ROLE, &url, PLAIN_SUBJECT]));
        stand.add("plain", address, PLAIN_HOST, vec![gateway_member, nats_member, plain]);
        let native = stand.runs("responder", role(&[native::ROLE, &url]));
        stand.add("native", address, native::HOST, vec![gateway_member, nats_member, native]);
        let host = stand.runs("h8s-host", component_host(programs, &url));
        stand.add("component", address, COMPONENT_HOST, vec![gateway_member, nats_member, host]);

        stand.add_wasmtime().await;
        for row in &stand.rows {
            eventually(row.name, async || is_answered(row).await).await;
        }
        stand
    }

    fn empty(nats: NatsServer, gateway: Gateway) -> Self {
        Self { rows: Vec::new(), remarks: Vec::new(), _nats: nats, _gateway: gateway, processes: Vec::new() }
    }

    /// Keeps it running.
    fn runs(&mut self, name: &'static str, process: Process) -> Member {
        let member = Member::of(name, &process);
        self.processes.push(process);
        member
    }

    fn add(&mut self, name: &'static str, address: SocketAddr, host: &'static str, members: Vec<Member>) {
        self.rows.push(Row { name, address, host, members });
    }

    async fn add_wasmtime(&mut self) {
        let Some(wasmtime) = Wasmtime::find() else {
            let how = Wasmtime::how_to_install();
            self.remarks.push(format!("wasmtime serve: NOT RUN. It is not installed: {how}"));
            return;
        };
        self.remarks.push(format!("wasmtime serve is {}", wasmtime.version));
        let hello = guest("hello");
        self.add_serving("wasmtime", wasmtime.serve(&hello).await);
        self.add_serving("wasmtime+pool", wasmtime.serve_pooled(&hello).await);
    }

    fn add_serving(&mut self, name: &'static str, serving: Serving) {
        let member = self.runs("wasmtime", serving.process);
        self.add(name, serving.address, heads::HOST, vec![member]);
    }
}

/// This program in a role that says where it listens.
async fn server(arguments: &[&str]) -> (Process, SocketAddr) {
    let mut process = role(arguments);
    let address = listens(&mut process).await;
    (process, address)
}

fn component_host(programs: &Programs, nats_url: &str) -> Process {
    let mut command = programs.command("h8s-host");
    command.args(["--host", COMPONENT_HOST, "--nats-url", nats_url]).arg(guest("hello"));
    Process::start(&mut command)
}

/// Whether the way leads to a 200.
async fn is_answered(row: &Row) -> bool {
    let mut client = HttpClient::http1(&format!("http://{}", row.address)).await;
    let request = Request::get(heads::TARGET).header(HOST, row.host).body(empty()).expect("it is a request");
    client.send(request).await.is_ok_and(|response| response.status() == 200)
}
