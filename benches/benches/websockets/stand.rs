//! The programs, built as for production but for whole-program optimisation, each a process.

use std::fs;

use h8s_benches::programs::{Gateway, Programs};
use h8s_nats::{Bus, ConnectOptions, Connections, Responder};
use h8s_test_support::guests::guest;
use h8s_test_support::process::Process;
use h8s_wire::{Host, Interest, MethodPattern};
use tempfile::NamedTempFile;

use crate::quiet::Quiet;

/// A gateway that pings nobody: pings are small, but readers count bytes.
pub(crate) async fn gateway(nats_url: &str) -> Gateway {
    Gateway::start(
        Programs::built(),
        nats_url,
        &["--websocket-ping-interval", "1h", "--max-connections-per-address", "20000"],
    )
    .await
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
        let mut command = Programs::built().command("h8s-host");
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

async fn link(nats_url: &str) -> Bus {
    let config = ConnectOptions::new(nats_url).expect("a bus has a URL");
    Bus::connect(config).await.expect("the bus can be connected to")
}
