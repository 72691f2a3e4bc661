//! Starts all servers as separate processes on loopback.

use std::net::SocketAddr;

use h8s_benches::programs::{Gateway, Programs, listens, role};
use h8s_benches::{TrackedProcess, heads};
use h8s_test_support::guests::guest;
use h8s_test_support::http_client::{HttpClient, empty};
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, eventually};
use http::Request;
use http::header::HOST;

use crate::wasmtime::{Serving, Wasmtime};
use crate::{alone, naive, native, responder};

/// All clients have one address, with some hundred connections per row.
const CONNECTIONS: &[&str] = &["--max-connections-per-address", "4000"];
/// A host without announcements: the gateway uses the plain dialect.
const PLAIN_HOST: &str = "plain.example";
/// The subscription of the plain responder (PROTOCOL.md §2).
const PLAIN_SUBJECT: &str = "h8s.http.*.example.plain._.>";
const COMPONENT_HOST: &str = "component.example";

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// The requested host selects the responder.
    pub(crate) host: &'static str,
    /// The processes of its chain.
    pub(crate) processes: Vec<TrackedProcess>,
}

/// All rows. They share one NATS server and one gateway, which are idle for rows that are not being measured.
pub(crate) struct Setup {
    pub(crate) rows: Vec<Row>,
    /// Remarks about the rows.
    pub(crate) remarks: Vec<String>,
    _nats: NatsServer,
    _gateway: Gateway,
    processes: Vec<Process>,
}

impl Setup {
    pub(crate) async fn start() -> Self {
        let programs = Programs::built();
        let mut nats = NatsServer::start().await;
        let url = nats.url();
        let nats_process = TrackedProcess::of("nats-server", nats.process());
        let gateway = Gateway::start(programs, &url, CONNECTIONS).await;
        let gateway_process = TrackedProcess::of("h8sd", &gateway.process);
        let (address, mut setup) = (gateway.address, Self::empty(nats, gateway));

        let (alone, alone_address) = server(&[alone::ROLE]).await;
        let alone = setup.runs("hyper", alone);
        setup.add("hyper", alone_address, heads::HOST, vec![alone]);

        let (naive, naive_address) = server(&[naive::ROLE, &url]).await;
        let naive = setup.runs("gateway", naive);
        let answering = setup.runs("responder", role(&[responder::ROLE, &url, naive::SUBJECT]));
        setup.add("naive", naive_address, heads::HOST, vec![naive, nats_process, answering]);

        let plain = setup.runs("responder", role(&[responder::ROLE, &url, PLAIN_SUBJECT]));
        setup.add("plain", address, PLAIN_HOST, vec![gateway_process, nats_process, plain]);
        let native = setup.runs("responder", role(&[native::ROLE, &url]));
        setup.add("native", address, native::HOST, vec![gateway_process, nats_process, native]);
        let host = setup.runs("h8s-host", component_host(programs, &url));
        setup.add("component", address, COMPONENT_HOST, vec![gateway_process, nats_process, host]);

        setup.add_wasmtime().await;
        for row in &setup.rows {
            eventually(row.name, async || is_answered(row).await).await;
        }
        setup
    }

    fn empty(nats: NatsServer, gateway: Gateway) -> Self {
        Self { rows: Vec::new(), remarks: Vec::new(), _nats: nats, _gateway: gateway, processes: Vec::new() }
    }

    /// Keeps the process running.
    fn runs(&mut self, name: &'static str, process: Process) -> TrackedProcess {
        let tracked = TrackedProcess::of(name, &process);
        self.processes.push(process);
        tracked
    }

    fn add(
        &mut self,
        name: &'static str,
        address: SocketAddr,
        host: &'static str,
        processes: Vec<TrackedProcess>,
    ) {
        self.rows.push(Row { name, address, host, processes });
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
        let process = self.runs("wasmtime", serving.process);
        self.add(name, serving.address, heads::HOST, vec![process]);
    }
}

/// Starts this program in a role that prints its address.
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

/// Whether a request gets 200.
async fn is_answered(row: &Row) -> bool {
    let mut client = HttpClient::http1(&format!("http://{}", row.address)).await;
    let request = Request::get(heads::TARGET).header(HOST, row.host).body(empty()).expect("it is a request");
    client.send(request).await.is_ok_and(|response| response.status() == 200)
}
