//! T24: messages that a NATS client library cannot parse, published to every subscription of the programs.

use h8s_test_support::execution_log::ExecutionLog;
use h8s_test_support::http_client::get;
use h8s_test_support::{NatsServer, Tool, eventually, needs, soon};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::load::{Load, REQUEST_TIMEOUT};
use super::work::jobs_and_echoes;
use crate::programs::{Daemon, Gateway, Host};

/// Correct responses after all subjects of one connection: all clients work again.
const SETTLED: u64 = 30;
/// Makes the publication to a subject.
type Broken = fn(&[u8]) -> Vec<u8>;
/// The messages for each subject.
const KINDS: [Broken; 6] = [
    value_that_is_not_utf8,
    value_with_a_bare_cr,
    line_without_a_colon,
    unknown_version,
    reply_that_is_not_utf8,
    subject_that_is_not_utf8,
];

fn value_that_is_not_utf8(subject: &[u8]) -> Vec<u8> {
    with_headers(subject, b"NATS/1.0\r\nX: \xff\r\n\r\n")
}

/// The NATS client panics on this one, rather than reconnecting.
fn value_with_a_bare_cr(subject: &[u8]) -> Vec<u8> {
    with_headers(subject, b"NATS/1.0\r\nX: y\rz\r\n\r\n")
}

fn line_without_a_colon(subject: &[u8]) -> Vec<u8> {
    with_headers(subject, b"NATS/1.0\r\nneither name nor value\r\n\r\n")
}

fn unknown_version(subject: &[u8]) -> Vec<u8> {
    with_headers(subject, b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n")
}

fn reply_that_is_not_utf8(subject: &[u8]) -> Vec<u8> {
    [b"PUB ", subject, b" re\xffply 0\r\n\r\n"].concat()
}

/// Reaches subscribers to everything below the subject.
fn subject_that_is_not_utf8(subject: &[u8]) -> Vec<u8> {
    [b"PUB ", subject, b".\xff 0\r\n\r\n"].concat()
}

fn with_headers(subject: &[u8], block: &[u8]) -> Vec<u8> {
    let length = block.len();
    [b"HPUB ", subject, format!(" {length} {length}\r\n").as_bytes(), block, b"\r\n"].concat()
}

/// A server with monitoring of subscriptions.
struct Bus {
    server: NatsServer,
    monitor: String,
}

/// One connection of a program: its name, and its subjects.
type Connection = (String, Vec<String>);

impl Bus {
    async fn start() -> Self {
        let mut server = NatsServer::with_config("http: \"127.0.0.1:-1\"").await;
        let line = server.process().wait_for_line("Starting http monitor on ").await;
        let monitor = format!("http://{}/connz?subs=1", line.rsplit(' ').next().unwrap());
        Self { server, monitor }
    }

    async fn connections(&self) -> Vec<Connection> {
        let all: Value = serde_json::from_slice(&get(&self.monitor).await.2).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let connection = |one: &Value| {
            let subjects = one["subscriptions_list"].as_array().map(|list| list.iter().map(text).collect());
            (text(&one["name"]), subjects.unwrap_or_default())
        };
        all["connections"].as_array().unwrap().iter().map(connection).collect()
    }

    /// Publishes raw bytes; the server has received them when this returns.
    async fn publish(&self, message: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.port())).await.unwrap();
        let hello = b"CONNECT {\"verbose\":false,\"headers\":true,\"name\":\"liar\"}\r\n";
        stream.write_all(&[hello, message, b"PING\r\n"].concat()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|window| window == b"PONG") {
            assert_ne!(soon(stream.read_buf(&mut answer)).await.unwrap(), 0, "{answer:?}");
        }
    }
}

/// A subject that the subscription matches.
fn literal(subscription: &str) -> String {
    subscription.replace('*', "any").replace('>', "x")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t24_messages_that_cannot_be_read_end_no_process_and_no_traffic() {
    needs!(Tool::NatsServer);
    // given traffic through all programs
    let bus = Bus::start().await;
    let (url, log) = (bus.server.url(), ExecutionLog::start().await);
    let mut daemon = Daemon::start(&url, &log.url(), &[]).await;
    let mut host = Host::start(&url, &[("/echo", "echo"), ("/sender", "sender")], &[]).await;
    let mut gateway = Gateway::start(&url, &REQUEST_TIMEOUT).await;
    let load = Load::start(&[&gateway.url], jobs_and_echoes);
    load.more(SETTLED).await;
    // when each of their subscriptions receives unreadable messages
    let connections = bus.connections().await;
    assert!(connections.len() >= 6, "two for each program: {connections:?}");
    for (name, subscriptions) in &connections {
        for subscription in subscriptions {
            for broken in KINDS {
                eventually("it is subscribed to", async || {
                    bus.connections().await.iter().any(|(_, all)| all.contains(subscription))
                })
                .await;
                bus.publish(&broken(literal(subscription).as_bytes())).await;
            }
        }
        // then traffic continues soon,
        let start = Instant::now();
        load.more(SETTLED).await;
        println!(
            "{name}: {} subscriptions, {SETTLED} answers {:?} later",
            subscriptions.len(),
            start.elapsed()
        );
    }
    // every process is running, and no client got a wrong response
    let tally = load.stop().await;
    println!("{tally}");
    assert!(
        [&mut gateway.process, &mut host.process, &mut daemon.process].into_iter().all(|p| p.is_running())
    );
    assert_eq!(log.repeated(), [0_u64; 0], "executed twice");
}
