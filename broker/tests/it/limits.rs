//! Limits of a client, and the effect of exceeding them.

use std::time::Duration;

use futures_util::StreamExt as _;
use h8s_broker::{Broker, Config};

use crate::raw::{CONNECT, Raw};
use crate::{connect, next, settled, soon, start};

const MIB: usize = 1024 * 1024;

fn with_pending(max_pending_bytes: usize) -> Config {
    Config { max_payload_bytes: MIB, max_pending_bytes, ..Config::default() }
}

#[tokio::test]
async fn a_slow_consumer_is_disconnected_while_others_continue() {
    let broker = Broker::start(with_pending(2 * MIB)).unwrap();
    let (mut slow, _) = Raw::to(&broker).await;
    slow.ask(format!("{CONNECT}SUB flood 1\r\n")).await;
    let client = connect(&broker).await;
    let mut healthy = client.subscribe("flood").await.unwrap();
    let publisher = connect(&broker).await;
    settled(&client).await;

    // `slow` reads nothing. What the kernel and the outbox hold is far less than what is sent.
    let payload = bytes::Bytes::from(vec![7; 64 * 1024]);
    for _ in 0..1024 {
        publisher.publish("flood", payload.clone()).await.unwrap();
        assert_eq!(next(&mut healthy).await.payload.len(), payload.len());
    }

    // Once it reads again, it receives some of the messages and then the end.
    let lines = slow.until_closed().await;
    let got = lines.iter().filter(|line| line.starts_with("MSG flood")).count();
    assert!((1..1024).contains(&got), "{got}");
    let reply = publisher.request("nobody", "".into()).await.unwrap_err();
    assert_eq!(reply.kind(), async_nats::RequestErrorKind::NoResponders, "the publisher is still connected");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_after_the_write_timeout() {
    let config = Config { write_timeout: Duration::from_millis(200), ..with_pending(60 * MIB) };
    let broker = Broker::start(config).unwrap();
    let (mut stuck, _) = Raw::to(&broker).await;
    stuck.ask(format!("{CONNECT}SUB flood 1\r\n")).await;
    // A delivered request gets no reply, so the timeout is short.
    let options = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_millis(50)));
    let publisher = options.connect(broker.url()).await.unwrap();

    // Less than the limit, so that only the timeout ends it, and more than the kernel's buffers hold.
    let payload = bytes::Bytes::from(vec![7; MIB]);
    for _ in 0..40 {
        publisher.publish("flood", payload.clone()).await.unwrap();
    }
    settled(&publisher).await;

    // It is gone once a request to it gets "no responders".
    let gone = async {
        loop {
            match publisher.request("flood", "".into()).await {
                Err(error) if error.kind() == async_nats::RequestErrorKind::NoResponders => return,
                _ => {}
            }
        }
    };
    soon(gone).await;
}

#[tokio::test]
async fn a_client_that_sends_pings_and_never_reads_is_disconnected() {
    let broker = Broker::start(with_pending(2 * MIB)).unwrap();
    let (mut raw, _) = Raw::to(&broker).await;

    // Each PING queues six bytes; ten million bytes of PONG are more than limit and kernel hold.
    let pings = "PING\r\n".repeat(10_000);
    for _ in 0..1000 {
        raw.say(&pings).await;
    }

    let pongs = raw.until_closed().await.len();
    assert!(pongs < 10_000_000, "{pongs}");
    settled(&connect(&broker).await).await;
}

#[tokio::test]
async fn a_fast_publisher_is_slowed_down_to_the_speed_of_a_subscriber() {
    const COUNT: usize = 400_000;
    let broker = Broker::start(with_pending(2 * MIB)).unwrap();
    let (mut subscriber, _) = Raw::to(&broker).await;
    subscriber.ask(format!("{CONNECT}SUB a 1\r\n")).await;
    let mut publisher = Raw::connected(&broker).await;

    // 50 MiB, through a queue of 2 MiB.
    let batch = format!("PUB a 128\r\n{}\r\n", "x".repeat(128)).repeat(1000);
    let publishing = tokio::spawn(async move {
        for _ in 0..COUNT / 1000 {
            publisher.say(&batch).await;
        }
        publisher.ask("PUB a 3\r\nend\r\n").await;
    });

    let mut lines = 0;
    while subscriber.line().await.expect("the subscriber is not cut off") != "end" {
        lines += 1;
    }
    assert_eq!(lines, 2 * COUNT + 1);
    soon(publishing).await.unwrap();
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_disconnected() {
    let broker =
        Broker::start(Config { ping_interval: Duration::from_millis(50), ..Config::default() }).unwrap();
    let (mut silent, _) = Raw::to(&broker).await;

    assert_eq!(silent.until_closed().await, ["PING", "PING", "-ERR 'Stale Connection'"]);
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let broker =
        Broker::start(Config { ping_interval: Duration::from_millis(20), ..Config::default() }).unwrap();
    let mut raw = Raw::connected(&broker).await;

    for _ in 0..10 {
        assert_eq!(raw.line().await.as_deref(), Some("PING"));
        raw.say("PONG\r\n").await;
    }
}

#[tokio::test]
async fn connections_are_limited_and_permits_are_returned() {
    let broker = Broker::start(Config { max_connections: 2, ..Config::default() }).unwrap();
    let first = Raw::connected(&broker).await;
    let mut second = Raw::connected(&broker).await;
    second.until_pong().await;

    let (mut third, _) = Raw::to(&broker).await;
    assert_eq!(third.until_closed().await, ["-ERR 'maximum connections exceeded'"]);

    drop(first);
    let admitted = async {
        loop {
            let (mut raw, _) = Raw::to(&broker).await;
            raw.say("PING\r\n").await;
            if raw.line().await.as_deref() == Some("PONG") {
                return;
            }
        }
    };
    soon(admitted).await;
}

#[tokio::test]
async fn announced_payloads_that_never_arrive_delay_no_client() {
    let broker = start();
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut raw = Raw::connected(&broker).await;
        raw.say("PUB a 8388608\r\nabc").await;
        waiting.push(raw);
    }

    let client = connect(&broker).await;
    let mut subscriber = client.subscribe("b").await.unwrap();
    client.publish("b", "x".into()).await.unwrap();

    assert_eq!(next(&mut subscriber).await.payload, "x");
}

#[tokio::test]
async fn shutdown_ends_clients_that_do_not_read() {
    let broker = start();
    let (mut stuck, _) = Raw::to(&broker).await;
    stuck.ask(format!("{CONNECT}SUB flood 1\r\n")).await;
    let client = connect(&broker).await;
    for _ in 0..20 {
        client.publish("flood", vec![0; MIB].into()).await.unwrap();
    }
    settled(&client).await;

    let started = std::time::Instant::now();
    soon(broker.shutdown()).await;

    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let _rest = stuck.until_closed().await;
}

#[tokio::test]
async fn closed_subscriptions_leave_nothing_behind() {
    let broker = start();
    let client = connect(&broker).await;
    for round in 0..20 {
        let subscribers: Vec<_> = futures_util::stream::iter(0..500)
            .then(|number| client.subscribe(format!("churn.{round}.{number}.>")))
            .collect()
            .await;
        drop(subscribers);
    }
    settled(&client).await;

    let error = soon(client.request("churn.3.7.x", "".into())).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
}
