//! `docs/local-services.md`, followed step by step.

use std::process::Command;

use h8s_test_support::http_client::{HttpClient, empty};
use h8s_test_support::python::python;
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{Bus, NatsServer, Process, Tool, eventually, needs};
use http::{Request, StatusCode};

use crate::programs::{Daemon, Gateway, h8srd};

const PAGE: &str = include_str!("../../../docs/local-services.md");
const HOST: &str = "app.localhost";
const LEAST_RIGHTS: &str = include_str!("../../../examples/least-rights.conf");
const BACKEND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/websocket-backend.py");

/// A port that is free at the moment.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// The command `h8srd` of the page, with these addresses.
fn daemon_of_the_page(nats_url: &str, port: &str) -> Command {
    let line = PAGE.lines().find(|line| line.starts_with("$ h8srd --nats-url")).unwrap();
    let arguments = line.trim_start_matches("$ h8srd ").replace("nats://127.0.0.1:4222", nats_url);
    let arguments = arguments.replace("localhost:3000", &format!("localhost:{port}"));
    h8srd(&arguments.split(' ').collect::<Vec<_>>())
}

async fn get(gateway: &Gateway, path: &str) -> (StatusCode, String) {
    let mut client = HttpClient::http1(&gateway.url).await;
    let request = Request::get(path).header("host", HOST).body(empty()).unwrap();
    let (status, _, body) = client.exchange(request).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn check_echo(gateway: &Gateway) {
    let upgrade = WebSocketClient::upgrade(&format!("{}/room", gateway.url)).host(HOST);
    let mut client = upgrade.send().await.unwrap_or_else(|refused| panic!("{}", refused.text()));
    client.text("hello").await;
    assert_eq!(client.message().await, Event::Text("/room heard hello".into()));
}

#[tokio::test]
async fn the_file_server_of_python() {
    needs!(Tool::NatsServer);
    let (bus, directory, port) = (Bus::real().await, tempfile::tempdir().unwrap(), free_port());
    std::fs::write(directory.path().join("here.txt"), "found").unwrap();
    let mut server = Command::new("python3");
    server.args(["-m", "http.server", &port, "--bind", "127.0.0.1"]).current_dir(directory.path());
    let _server = Process::start(&mut server);
    let _daemon = Daemon::run(&mut daemon_of_the_page(&bus.url(), &port)).await;
    let gateway = Gateway::start(&bus.url(), &[]).await;

    eventually("it listens", async || get(&gateway, "/").await.0 == StatusCode::OK).await;

    assert!(get(&gateway, "/").await.1.contains("here.txt"));
    assert_eq!(get(&gateway, "/here.txt").await.1, "found");
    assert_eq!(get(&gateway, "/not.txt").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_websocket_and_the_least_rights() {
    needs!(Tool::NatsServer, Tool::Python);
    let configuration = LEAST_RIGHTS.replace("listen: 127.0.0.1:4222\n", "");
    let configuration = configuration.replace("$GATEWAY_PASSWORD", "gate").replace("$APP_PASSWORD", "back");
    let (nats, port) = (NatsServer::with_config(&configuration).await, free_port());
    let mut backend = python().start_script(BACKEND, &[&port]);
    backend.wait_for_line("ready").await;
    let mut daemon = daemon_of_the_page(&nats.url(), &port);
    let mut daemon = Daemon::run(daemon.envs([("NATS_USER", "app"), ("NATS_PASSWORD", "back")])).await;
    let gateway = Gateway::start(&nats.url(), &["--nats-user", "gateway", "--nats-password", "gate"]).await;

    check_echo(&gateway).await;

    // An ordinary request reaches the backend, too, and gets its response.
    assert_eq!(get(&gateway, "/").await.0, StatusCode::UPGRADE_REQUIRED);
    daemon.process.terminate();
    assert!(daemon.process.wait_for_exit().await.success());
    let output = [daemon.process.output(), gateway.process.output()].concat();
    assert!(!output.to_lowercase().contains("permission"), "{output}");
}

/// The same configuration denies a daemon for another host.
#[tokio::test]
async fn the_least_rights_are_for_one_host() {
    needs!(Tool::NatsServer);
    let configuration = LEAST_RIGHTS.replace("listen: 127.0.0.1:4222\n", "");
    let configuration = configuration.replace("$GATEWAY_PASSWORD", "gate").replace("$APP_PASSWORD", "back");
    let nats = NatsServer::with_config(&configuration).await;
    let mut daemon = h8srd(&["--nats-url", &nats.url(), "--hostname", "bank.localhost"]);
    daemon.args(["--backend-url", "http://localhost:1", "--nats-user", "app", "--nats-password", "back"]);

    let mut daemon = Process::start(&mut daemon);

    assert!(!daemon.wait_for_exit().await.success());
    assert!(daemon.output().contains("permission"), "{}", daemon.output());
}
