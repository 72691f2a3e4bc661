//! `h8sd --access-log`: one line for each exchange after its end, without secrets.

use std::task::Poll;

use bytes::Bytes;
use h8s_nats::{Body, Responder};
use h8s_test_support::process::program;
use h8s_test_support::websocket_client::WebSocketClient;
use h8s_test_support::{Bus, Process, eventually};
use h8s_wire::MethodPattern;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;

use crate::fixture::{ServiceBody, answering, echoing};
use crate::support::*;

/// `h8sd`, and a responder for `app.example`.
struct Logged {
    process: Process,
    address: std::net::SocketAddr,
    _responders: [Responder; 2],
    _bus: Bus,
}

async fn h8sd(format: &str) -> Logged {
    let bus = Bus::embedded().await;
    let echo = |request: Request<Body>| {
        let body = match request.uri().path() {
            "/endless" => endless("hello"),
            _ => request.into_body().map_err(Into::into).boxed_unsync(),
        };
        std::future::ready(Ok(Response::new(body)))
    };
    let responders = [answering(&bus, MethodPattern::Any, echo).await, echoing(&bus).await];
    let mut process = Process::start(program(env!("CARGO_BIN_EXE_h8sd")).env("NO_COLOR", "1").args([
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--access-log",
        format,
        "--nats-url",
        &bus.url(),
    ]));
    let line = process.wait_for_line("listening on ").await;
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    process.wait_for_line("requester: ready").await;
    Logged { process, address, _responders: responders, _bus: bus }
}

/// Sends one piece, then stalls without an end.
fn endless(text: &'static str) -> ServiceBody {
    let mut first = Some(Frame::data(Bytes::from(text)));
    let frames = futures_util::stream::poll_fn(move |_| match first.take() {
        Some(frame) => Poll::Ready(Some(Ok(frame))),
        None => Poll::Pending,
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Logged {
    async fn ask(&self, request: &str) -> Answer {
        let mut client = Raw::connect(self.address).await;
        let (head, body) = request.split_once("\n\n").unwrap_or((request.trim_end(), ""));
        client.send(&format!("{}\r\nConnection: close\r\n\r\n{body}", head.replace('\n', "\r\n"))).await;
        Answer::parse(&client.rest().await)
    }

    /// The line for this path.
    async fn line(&self, path: &str) -> Value {
        let find = || {
            let lines = self.process.stdout();
            lines
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(|line: &Value| line["path"] == path)
        };
        eventually(path, async || find().is_some()).await;
        find().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_names_client_request_and_responder_and_no_secret() {
    let h8sd = h8sd("json").await;

    let answer = h8sd
        .ask("POST /orders?token=hunter2 HTTP/1.1\nHost: app.example\nAuthorization: Bearer hunter2\nCookie: id=hunter2\nContent-Length: 5\n\nhello")
        .await;

    let line = h8sd.line("/orders").await;
    assert_eq!((answer.status, answer.body.len()), (200, 5));
    for (key, value) in [
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("host", "app.example"),
        ("protocol", "HTTP/1.1"),
        ("route", "app.example/*"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(
        (line["status"].as_u64(), line["bytes"].as_u64(), line["query"].as_bool()),
        (Some(200), Some(5), Some(true))
    );
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    for id in ["responder", "request_id", "trace_id"] {
        assert_eq!(line[id].as_str().map(str::len), Some(32), "{id}: {line}");
    }
    assert!(line["time"].as_str().unwrap().ends_with('Z') && line.get("cut_by").is_none(), "{line}");
    assert!(!h8sd.process.output().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_own_answers_say_why() {
    let h8sd = h8sd("json").await;

    let refused = h8sd.ask("GET /unserved HTTP/1.1\nHost: other.example\n").await;
    h8sd.ask("GET /bad HTTP/1.1\nHost: a..b\n").await;

    let line = h8sd.line("/unserved").await;
    assert_eq!(
        (line["status"].as_u64(), line["reason"].as_str()),
        (Some(503), Some("no_responders")),
        "{line}"
    );
    assert_eq!(line["bytes"].as_u64(), Some(refused.body.len() as u64));
    assert_eq!(line["request_id"].as_str(), refused.field("x-request-id"));
    let line = h8sd.line("/bad").await;
    assert_eq!((line["status"].as_u64(), line["reason"].as_str()), (Some(400), Some("host")), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_said_to_have_left() {
    let h8sd = h8sd("json").await;
    let mut client = Raw::connect(h8sd.address).await;
    client.send("GET /endless HTTP/1.1\r\nHost: app.example\r\n\r\n").await;
    client.until("hello").await;

    drop(client);

    let line = h8sd.line("/endless").await;
    assert_eq!((line["status"].as_u64(), line["cut_by"].as_str()), (Some(200), Some("client")), "{line}");
    assert_eq!(line["bytes"].as_u64(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_one_exchange_which_ends_when_it_does() {
    let h8sd = h8sd("json").await;
    let upgrade = WebSocketClient::upgrade(&format!("http://{}/room", h8sd.address)).host("app.example");
    let mut client = upgrade.send().await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    client.text("hello").await;
    client.message().await;
    assert!(!h8sd.process.stdout().contains("/room"));

    client.close(1000, "").await;

    let line = h8sd.line("/room").await;
    assert_eq!(
        (line["status"].as_u64(), line["route"].as_str()),
        (Some(101), Some("app.example/*")),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_are_written_before_the_end() {
    let mut h8sd = h8sd("text").await;
    h8sd.ask("GET /last?secret HTTP/1.1\nHost: app.example\n").await;

    h8sd.process.terminate();
    assert!(h8sd.process.wait_for_exit().await.success());

    let lines = h8sd.process.stdout();
    assert!(lines.contains(" 127.0.0.1 \"GET app.example/last?… HTTP/1.1\" 200 0 "), "{lines}");
}
