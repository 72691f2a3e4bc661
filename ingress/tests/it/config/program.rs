//! The `h8sd` program: invalid settings, dependencies missing at start or later, and signals.

use std::process::{Command, Output};

use h8s_ingress::Config;
use h8s_nats::ConnectOptions;
use h8s_test_support::process::program;
use h8s_test_support::{Bus, Process, eventually};

use crate::support::*;

fn h8sd(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_h8sd")).args(flags).env_clear().output().unwrap()
}

#[test]
fn every_mistake_is_one_sentence_and_all_are_said_at_once() {
    let output = h8sd(&[
        "--listen=nowhere",
        "--request-timeout=5",
        "--max-body-size=big",
        "--host-filters=a..b",
        "--trusted-proxies=10.0.0.0/99",
        "--max-connections=0",
        "--max-websockets=0",
        "--allowed-origins=a.example",
        "--max-message-size=big",
        "--websocket-queue=big",
        "--drop-oldest=a.example",
        "--reopen-timeout=5",
        "--authorization-key=",
        "--log-format=xml",
        "--no-such-flag",
    ]);

    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for flag in [
        "--listen",
        "--request-timeout",
        "--max-body-size",
        "--host-filters",
        "--trusted-proxies",
        "--max-connections",
        "--max-websockets",
        "--allowed-origins",
        "--max-message-size",
        "--websocket-queue",
        "--drop-oldest",
        "--reopen-timeout",
        "--authorization-key",
        "--log-format",
        "--no-such-flag",
    ] {
        assert_eq!(stderr.lines().filter(|line| line.contains(flag)).count(), 1, "{flag}: {stderr}");
    }
}

#[test]
fn what_no_flag_shows_alone_is_said_together_too() {
    let output = h8sd(&[
        "--tls-cert=c.pem",
        "--request-timeout=0s",
        "--websocket-ping-interval=0s",
        "--nats-url=nonsense://x",
    ]);

    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for flag in ["--tls-key", "--request-timeout", "--websocket-ping-interval", "--nats-url"] {
        assert!(stderr.contains(flag), "{flag}: {stderr}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "request-timeout = \"1s\"\nrequest-timout = \"2s\"\n").unwrap();

    let output = h8sd(&["--config", file.path().to_str().unwrap()]);

    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("request-timout") && stderr.contains("did you mean request-timeout"), "{stderr}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = Config { listen: vec![address], ..Default::default() };

    let error = config.build_on(hello()).await.err().unwrap().to_string();

    assert!(error.contains(&address.to_string()) && error.contains("in use"), "{error}");
}

#[test]
fn help_names_every_flag_with_its_variable() {
    let output = h8sd(&["--help"]);

    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for variable in ["H8S_LISTEN", "H8S_ADMIN_LISTEN", "H8S_TRACK_INTEREST", "H8S_GRACE_PERIOD", "NATS_URL"] {
        assert!(help.contains(variable), "{variable}: {help}");
    }
}

#[test]
fn a_nats_that_is_not_there_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

    let output =
        h8sd(&["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", &format!("--nats-url=nats://{free}")]);

    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(&free.to_string()), "{stderr}");
}

const ANYWHERE: [&str; 2] = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_with_0() {
    let bus = Bus::embedded().await;
    let mut h8sd = Process::start(program(env!("CARGO_BIN_EXE_h8sd")).args(ANYWHERE).args([
        "--log-format=json",
        "--nats-url",
        &bus.url(),
    ]));
    h8sd.wait_for_line("\"listening on ").await;

    h8sd.terminate();

    assert!(h8sd.wait_for_exit().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_the_exchange_in_flight() {
    let bus = Bus::embedded().await;
    let mut h8sd = Process::start(program(env!("CARGO_BIN_EXE_h8sd")).args(ANYWHERE).args([
        "--wait-for-responder=60s",
        "--nats-url",
        &bus.url(),
    ]));
    let address = h8sd.wait_for_line("listening on ").await.rsplit(' ').next().unwrap().parse().unwrap();
    let operators = h8sd.wait_for_line("operators: http://").await;
    let operators = operators.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let in_flight = async || page(operators, "/metrics").await.contains("exchanges_in_flight 1\n");
    eventually("the request is in flight", in_flight).await;

    h8sd.terminate();
    h8sd.wait_for_line("draining").await;
    h8sd.signal("INT");

    assert!(h8sd.wait_for_exit().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_nats_either() {
    let mut bus = Bus::embedded().await;
    let mut h8sd =
        Process::start(program(env!("CARGO_BIN_EXE_h8sd")).args(ANYWHERE).args(["--nats-url", &bus.url()]));
    h8sd.wait_for_line("listening on ").await;
    bus.stop().await;

    h8sd.terminate();
    h8sd.wait_for_line("draining").await;
    h8sd.signal("INT");

    // `h8sd` waits up to 5 s for NATS to confirm its last frames.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(3), h8sd.wait_for_exit()).await;
    assert!(ended.expect("it does not wait for exchanges").success());
}

async fn page(operators: &str, path: &str) -> String {
    let mut client = Raw::connect(operators.parse().unwrap()).await;
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
    client.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_going_away_is_503_and_it_comes_back_by_itself() {
    let mut bus = Bus::embedded().await;
    let config = Config { admin_listen: Some("127.0.0.1:0".parse().unwrap()), ..Config::default() };
    let ingress = run(config.build(&ConnectOptions::new(&bus.url()).unwrap()).await.unwrap());
    let ingress = &ingress;
    eventually("it is ready", async || ingress.admin("/readyz").await.status == 200).await;

    bus.stop().await;
    eventually("it is not ready", async || {
        ingress.admin("/readyz").await.body.contains("disconnected from NATS")
    })
    .await;
    let answer = ingress.ask("GET / HTTP/1.1\nHost: a\n").await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("5")));
    assert_eq!(ingress.admin("/healthz").await.status, 200);

    bus.restart().await;
    eventually("it is ready again", async || ingress.admin("/readyz").await.status == 200).await;
    assert!(ingress.ask("GET / HTTP/1.1\nHost: a\n").await.body.starts_with("No responder serves"));
}
