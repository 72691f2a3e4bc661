//! A bus, a real gateway, and the examples as processes.

use std::path::PathBuf;
use std::time::Duration;

use h8s_ingress::{Config, Drained, Shutdown};
use h8s_nats::Requester;
use h8s_test_support::http_client::{self, Answer, full};
use h8s_test_support::process::program;
use h8s_test_support::websocket_client::WebSocketClient;
use h8s_test_support::{Bus, Process, eventually, within};
use http::Request;
use tokio::task::JoinHandle;

/// More than the gateway's grace period: a drain gives clients time on purpose.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);

/// A bus, and a gateway that listens on a free port.
pub(crate) struct Edge {
    pub(crate) bus: Bus,
    /// `http://127.0.0.1:…`
    pub(crate) url: String,
    requester: Requester,
    shutdown: Shutdown,
    running: JoinHandle<Drained>,
}

impl Edge {
    pub(crate) async fn start() -> Self {
        Self::on(Bus::embedded().await).await
    }

    pub(crate) async fn on(bus: Bus) -> Self {
        let config = Config {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            admin_listen: None,
            threads: None,
            ..Config::default()
        };
        let connected = h8s::connect(&bus.url()).await.unwrap();
        let requester = Requester::start(connected, h8s::RequesterConfig::default()).await.unwrap();
        eventually("the gateway is ready", async || requester.is_ready()).await;
        let gateway = config.build_on(requester.clone()).await.unwrap();
        let url = format!("http://{}", gateway.addresses()[0]);
        let shutdown = Shutdown::new();
        let running = tokio::spawn(gateway.run(shutdown.clone()));
        Self { bus, url, requester, shutdown, running }
    }

    /// A connection to the bus for the test's own service.
    pub(crate) async fn connect(&self) -> h8s::Bus {
        h8s::connect(&self.bus.url()).await.unwrap()
    }

    /// Starts an example of this package on this bus.
    pub(crate) fn example(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = program(example(name));
        command.env("NATS_URL", self.bus.url()).env("LISTEN", "127.0.0.1:0").args(arguments);
        Process::start(&mut command)
    }

    /// The gateway's answer, as soon as a responder serves the address.
    pub(crate) async fn answer(&self, method: &str, host: &str, path: &str, body: &'static str) -> Answer {
        self.served(method, host, path).await;
        answer(&self.url, method, host, path, body).await
    }

    /// Waits until a responder serves the address.
    pub(crate) async fn served(&self, method: &str, host: &str, path: &str) {
        let (host, method) = (host.parse().unwrap(), method.parse().unwrap());
        eventually("it is served", async || self.requester.serves(&host, &method, path)).await;
    }

    /// A client's WebSocket, as soon as a responder serves the address.
    pub(crate) async fn websocket(&self, host: &str, path: &str) -> WebSocketClient {
        let name = host.parse().unwrap();
        eventually("it is served", async || self.requester.serves_websocket(&name, path)).await;
        let upgrade = WebSocketClient::upgrade(&format!("{}{path}", self.url)).host(host);
        upgrade.protocols("other, echo.example").send().await.unwrap()
    }

    /// Ends the gateway. Every exchange has ended by then.
    pub(crate) async fn end(self) {
        self.shutdown.drain();
        assert_eq!(within(DRAIN_DEADLINE, self.running).await.unwrap(), Drained::Whole);
    }
}

pub(crate) async fn answer(url: &str, method: &str, host: &str, path: &str, body: &'static str) -> Answer {
    let request = Request::builder().method(method).uri(format!("{url}{path}")).header("host", host);
    http_client::exchange(request.body(full(body)).unwrap()).await
}

/// Status and text of an answer.
pub(crate) fn shown((status, _, body): Answer) -> (u16, String) {
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

/// Ends an example with Ctrl-C, and expects success.
pub(crate) async fn interrupt(mut example: Process) {
    example.signal("INT");
    assert!(example.wait_for_exit().await.success(), "{}", example.output());
}

/// `target/…/examples/name` beside `target/…/deps/it-…`. `cargo test` builds them before it runs any test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --package h8s --examples`", path.display());
    path
}
