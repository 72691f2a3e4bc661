//! The programs, built as for production but for whole-program optimisation, each a process.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use h8s_nats::{Connections, Link, NatsConfig, Responder};
use h8s_test_support::guests::guest;
use h8s_test_support::process::{Process, program};
use h8s_test_support::{eventually, http_client};
use h8s_wire::{Host, Interest, MethodPattern};
use tempfile::NamedTempFile;

use crate::quiet::Quiet;

/// A gateway that is ready.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Gateway {
    pub(crate) async fn start(nats_url: &str) -> Self {
        let mut command = program(built("h8sd"));
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-url", nats_url]);
        // Pings are small, but readers count bytes.
        let mut process = Process::start(command.args(["--websocket-ping-interval", "1h"]));
        let line = process.wait_for_line("listening on ").await;
        let address =
            line.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("it says where");
        let line = process.wait_for_line("operators: ").await;
        let ready = line.split_once("operators: ").and_then(|(_, rest)| rest.split("/healthz").next());
        let ready = format!("{}/readyz", ready.expect("it says where"));
        eventually("the gateway is ready", async || http_client::get(&ready).await.0 == 200).await;
        Self { process, address }
    }

    /// Bytes of memory that it really has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let id = self.process.id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("Linux tells of processes");
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("one line is of memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

/// Components, served.
pub(crate) struct ComponentHost {
    _process: Process,
    _config: NamedTempFile,
}

impl ComponentHost {
    /// Serves each component at its path.
    pub(crate) async fn start(nats_url: &str, served: &[(&str, &str)]) -> Self {
        let table = |(path, name): &(&str, &str)| {
            format!("[[component]]\nfile = {:?}\npath = {path:?}\n", guest(name))
        };
        let config = NamedTempFile::new().expect("a temporary file");
        fs::write(config.path(), served.iter().map(table).collect::<String>()).expect("it can be written");
        let mut command = program(built("h8s-host"));
        command.args(["--host", "127.0.0.1", "--nats-url", nats_url, "--config"]).arg(config.path());
        let mut process = Process::start(&mut command);
        process.wait_for_line("h8s_host: ready").await;
        Self { _process: process, _config: config }
    }
}

pub(crate) fn host() -> Host {
    "127.0.0.1".parse().expect("it is a host")
}

/// A responder in this process that accepts every WebSocket.
pub(crate) async fn quiet(nats_url: &str) -> Responder {
    let path = "/*".parse().expect("it is a pattern");
    let interest = Interest { host: host(), path, method: MethodPattern::WebSocket };
    let builder = Responder::builder(link(nats_url).await).serve(interest, Quiet);
    builder.start().await.expect("a responder starts")
}

/// What somebody knows who starts now.
pub(crate) async fn connections(nats_url: &str) -> Connections {
    Connections::start(link(nats_url).await, &[host()]).await.expect("the registry starts")
}

async fn link(nats_url: &str) -> Link {
    let config = NatsConfig::anonymous(nats_url).expect("a bus has a URL");
    Link::connect(&config).await.expect("the bus can be connected to")
}

/// A program of the workspace, where this one was built: `target/release`, of `target/release/deps/websockets-…`.
fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let bench = std::env::current_exe().expect("a program knows its file");
        let directory = bench.ancestors().nth(2).expect("benches are in target/release/deps").to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--profile", "bench", "--bins"]);
        cargo.args(["--package", "h8s-ingress", "--package", "h8s-host-provider", "--target-dir"]);
        let status = cargo.arg(directory.parent().expect("it is in a target directory")).status();
        assert!(status.is_ok_and(|status| status.success()), "h8sd and h8s-host do not build");
        directory
    });
    directory.join(name)
}
